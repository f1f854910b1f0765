/* Pieces of several files, written while Python's lock is given up once for all of them. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#ifdef _WIN32
#include <io.h>
#define write(file, data, size) _write(file, data, (unsigned)((size) < 1 << 30 ? (size) : 1 << 30))
#else
#include <unistd.h>
#endif

typedef struct {
    int file, error; /* error: errno of what ended it, or 0 */
    char *data;
    Py_ssize_t size, done;
} Piece;

static void write_one(Piece *piece)
{
    while (piece->done < piece->size) {
        Py_ssize_t n = write(piece->file, piece->data + piece->done, (size_t)(piece->size - piece->done));
        if (n > 0) {
            piece->done += n;
        } else if (n == 0 || errno != EINTR) {
            piece->error = n == 0 ? EIO : errno;
            return;
        }
    }
}

static PyObject *written(const Piece *pieces, Py_ssize_t count)
{
    PyObject *out = PyList_New(count);
    for (Py_ssize_t k = 0; out != NULL && k < count; k++) {
        PyObject *each = Py_BuildValue("(ni)", pieces[k].done, pieces[k].error);
        if (each == NULL)
            Py_CLEAR(out);
        else
            PyList_SetItem(out, k, each);
    }
    return out;
}

static PyObject *write_all(PyObject *module, PyObject *arg)
{
    (void)module;
    PyObject *given = PySequence_Tuple(arg); /* others may change a list meanwhile */
    if (given == NULL)
        return NULL;
    Py_ssize_t count = PyTuple_Size(given);
    PyObject *out = NULL;
    Piece *pieces = PyMem_Calloc((size_t)count + 1, sizeof *pieces);
    if (pieces == NULL) {
        PyErr_NoMemory();
        goto end;
    }
    for (Py_ssize_t k = 0; k < count; k++) {
        PyObject *each = PyTuple_GetItem(given, k), *data;
        if (!PyTuple_Check(each)) {
            PyErr_SetString(PyExc_TypeError, "a piece is a tuple of a file's number and bytes");
            goto end;
        }
        if (!PyArg_ParseTuple(each, "iS:write_all", &pieces[k].file, &data) ||
            PyBytes_AsStringAndSize(data, &pieces[k].data, &pieces[k].size) < 0)
            goto end;
    }
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t k = 0; k < count; k++)
        write_one(pieces + k);
    Py_END_ALLOW_THREADS
    out = written(pieces, count);
end:
    PyMem_Free(pieces);
    Py_DECREF(given);
    return out;
}

static PyMethodDef methods[] = {
    {"write_all", write_all, METH_O,
     "write_all(pieces)\n\nWrite (file number, bytes) one after the other. For each, how many bytes were written and the "
     "errno of what ended it, 0 for nothing."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_write", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__write(void) { return PyModule_Create(&definition); }
