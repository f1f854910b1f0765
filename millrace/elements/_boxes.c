/* Boxes of many pictures, from a model's input to the source. The twin of Placement.to_source, to the bit, for all answers
of a batch at once: NumPy's calls cost more than the work. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

/* As np.clip: what is no number stays, and so does -0. */
static float clipped(float value, float most)
{
    value = value < 0.0f ? 0.0f : value;
    return value > most ? most : value;
}

/* A buffer of float32 [n, 4]; 0 where it is another. */
static int boxes_of(PyObject *array, Py_buffer *view)
{
    if (PyObject_GetBuffer(array, view, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS) < 0) {
        PyErr_Clear();
        return 0;
    }
    if (view->ndim == 2 && view->shape[1] == 4 && view->itemsize == sizeof(float) && strcmp(view->format, "f") == 0)
        return 1;
    PyBuffer_Release(view);
    return 0;
}

/* The number of boxes in all arrays; -1 where one is no array of boxes. */
static Py_ssize_t count(PyObject *arrays)
{
    Py_ssize_t all = 0;
    Py_buffer view;
    for (Py_ssize_t k = 0; k < PyList_Size(arrays); k++) {
        if (!boxes_of(PyList_GetItem(arrays, k), &view))
            return -1;
        all += view.shape[0];
        PyBuffer_Release(&view);
    }
    return all;
}

static PyObject *to_source(PyObject *module, PyObject *arguments)
{
    (void)module;
    PyObject *arrays, *out = NULL, *shown = NULL, *result = NULL;
    float scale_x, scale_y, offset_x, offset_y, wide, high;
    Py_buffer view;
    if (!PyArg_ParseTuple(arguments, "Offffff", &arrays, &scale_x, &scale_y, &offset_x, &offset_y, &wide, &high))
        return NULL;
    Py_ssize_t all = PyList_Check(arrays) ? count(arrays) : -1, done = 0;
    if (all < 0)
        Py_RETURN_NONE;
    out = PyByteArray_FromStringAndSize(NULL, all * 8 * (Py_ssize_t)sizeof(float));
    shown = PyList_New(all);
    if (out == NULL || shown == NULL)
        goto done;
    float *boxes = (float *)PyByteArray_AsString(out);
    for (Py_ssize_t k = 0; k < PyList_Size(arrays); k++) {
        int good = boxes_of(PyList_GetItem(arrays, k), &view);
        if (!good || done + view.shape[0] > all) {
            if (good)
                PyBuffer_Release(&view);
            PyErr_SetString(PyExc_RuntimeError, "the boxes changed meanwhile");
            goto done;
        }
        const float *from = view.buf;
        for (Py_ssize_t end = done + view.shape[0]; done < end; done++, from += 4) {
            float *box = boxes + 4 * done;
            box[0] = clipped((from[0] - offset_x) / scale_x, wide);
            box[1] = clipped((from[1] - offset_y) / scale_y, high);
            box[2] = clipped((from[2] - offset_x) / scale_x, wide);
            box[3] = clipped((from[3] - offset_y) / scale_y, high);
            PyObject *inside = PyBool_FromLong(box[2] > box[0] && box[3] > box[1]);
            if (PyList_SetItem(shown, done, inside) < 0) {
                PyBuffer_Release(&view);
                goto done;
            }
        }
        PyBuffer_Release(&view);
    }
    if (done < all) {
        PyErr_SetString(PyExc_RuntimeError, "the boxes changed meanwhile");
        goto done;
    }
    memcpy(boxes + 4 * all, boxes, (size_t)all * 4 * sizeof(float));
    result = PyTuple_Pack(2, out, shown);
done:
    Py_XDECREF(out);
    Py_XDECREF(shown);
    return result;
}

static PyMethodDef methods[] = {
    {"to_source", to_source, METH_VARARGS,
     "to_source(boxes, scale_x, scale_y, offset_x, offset_y, width, height)\n\nThe boxes of a list of arrays, one after "
     "the other and then all again, as bytes; and which have something of the picture. None where one of the arrays is "
     "not float32 [n, 4]."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_boxes", NULL, 0, methods, slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__boxes(void) { return PyModuleDef_Init(&definition); }
