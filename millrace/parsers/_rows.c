/* Rows of detections of a batch: which are sure, in order, as columns. The twin of what end2end.py does with NumPy, whose
calls cost more than the work: of a hundred rows a picture a few are sure. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { X1, Y1, X2, Y2, SCORE, CLASS, COLUMNS };

typedef struct {
    float score;
    Py_ssize_t row;
} Sure;

/* Best first, as they came where they are as sure. */
static int order(const void *left, const void *right)
{
    const Sure *a = left, *b = right;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return a->row < b->row ? -1 : 1;
}

/* Fill the columns, and `ends` with where each picture's rows end. How many there are; -1 for a class that is no
   integer's float. */
static Py_ssize_t choose(const float *rows, Py_ssize_t count, Py_ssize_t high, Py_ssize_t wide, const Py_ssize_t *at,
                         float floor, Py_ssize_t most, Sure *sure, float *boxes, float *scores, int64_t *classes,
                         Py_ssize_t *ends)
{
    Py_ssize_t total = 0;
    for (Py_ssize_t picture = 0; picture < count; picture++) {
        const float *mine = rows + picture * high * wide;
        Py_ssize_t found = 0;
        for (Py_ssize_t row = 0; row < high; row++)
            if (mine[row * wide + at[SCORE]] >= floor)
                sure[found++] = (Sure){mine[row * wide + at[SCORE]], row};
        qsort(sure, (size_t)found, sizeof *sure, order);
        if (found > most)
            found = most;
        for (Py_ssize_t k = 0; k < found; k++, total++) {
            const float *row = mine + sure[k].row * wide;
            for (int side = X1; side <= Y2; side++)
                boxes[4 * total + side] = row[at[side]];
            scores[total] = sure[k].score;
            if (!(row[at[CLASS]] > -1e18f && row[at[CLASS]] < 1e18f))
                return -1;
            classes[total] = (int64_t)row[at[CLASS]];
        }
        ends[picture] = total;
    }
    return total;
}

/* Whether no side of any box is beyond `limit`. */
static int within(const float *rows, Py_ssize_t all, Py_ssize_t wide, const Py_ssize_t *at, float limit)
{
    for (Py_ssize_t row = 0; row < all; row++)
        for (int side = X1; side <= Y2; side++)
            if (!(rows[row * wide + at[side]] <= limit))
                return 0;
    return 1;
}

static PyObject *answer(const Py_buffer *view, const Py_ssize_t *at, float floor, Py_ssize_t most, float limit)
{
    Py_ssize_t count = view->shape[0], high = view->shape[1], all = count * high;
    size_t row = sizeof(Sure) + 5 * sizeof(float) + sizeof(int64_t);
    PyObject *ends = NULL, *out = NULL;
    char *memory = malloc((size_t)all * row + (size_t)count * sizeof(Py_ssize_t) + 1);
    if (memory == NULL)
        return PyErr_NoMemory();
    Sure *sure = (Sure *)memory;
    int64_t *classes = (int64_t *)(sure + all);
    Py_ssize_t *at_end = (Py_ssize_t *)(classes + all);
    float *boxes = (float *)(at_end + count), *scores = boxes + 4 * all;
    Py_ssize_t total =
        choose(view->buf, count, high, view->shape[2], at, floor, most, sure, boxes, scores, classes, at_end);
    if (total < 0) {
        free(memory);
        Py_RETURN_NONE;
    }
    if ((ends = PyList_New(count)) != NULL) {
        for (Py_ssize_t k = 0; k < count; k++) {
            PyObject *end = PyLong_FromSsize_t(at_end[k]);
            if (end == NULL || PyList_SetItem(ends, k, end) < 0)
                goto done;
        }
        PyObject *columns[3] = {
            PyByteArray_FromStringAndSize((char *)boxes, total * 4 * (Py_ssize_t)sizeof(float)),
            PyByteArray_FromStringAndSize((char *)scores, total * (Py_ssize_t)sizeof(float)),
            PyByteArray_FromStringAndSize((char *)classes, total * (Py_ssize_t)sizeof(int64_t)),
        };
        PyObject *inside = PyBool_FromLong(within(view->buf, all, view->shape[2], at, limit));
        if (columns[0] != NULL && columns[1] != NULL && columns[2] != NULL)
            out = PyTuple_Pack(5, ends, columns[0], columns[1], columns[2], inside);
        Py_DECREF(inside);
        for (int k = 0; k < 3; k++)
            Py_XDECREF(columns[k]);
    }
done:
    Py_XDECREF(ends);
    free(memory);
    return out;
}

static PyObject *sure(PyObject *module, PyObject *arguments)
{
    (void)module;
    PyObject *rows, *result = NULL;
    Py_ssize_t at[COLUMNS], most;
    double floor, limit;
    Py_buffer view;
    if (!PyArg_ParseTuple(arguments, "O(nnnnnn)dnd", &rows, &at[X1], &at[Y1], &at[X2], &at[Y2], &at[SCORE], &at[CLASS],
                          &floor, &most, &limit))
        return NULL;
    if (PyObject_GetBuffer(rows, &view, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS) < 0)
        return NULL;
    int fits = view.ndim == 3 && view.itemsize == sizeof(float) && strcmp(view.format, "f") == 0 && most >= 0;
    for (int k = 0; fits && k < COLUMNS; k++)
        fits = at[k] >= 0 && at[k] < view.shape[2];
    if (fits)
        result = answer(&view, at, (float)floor, most, (float)limit);
    else
        PyErr_SetString(PyExc_ValueError, "rows are float32 [pictures, rows, columns], columns are some of them");
    PyBuffer_Release(&view);
    return result;
}

static PyMethodDef methods[] = {
    {"sure", sure, METH_VARARGS,
     "sure(rows, columns, floor, most, limit)\n\nThe rows of each picture whose score is at least `floor`, best first, "
     "`most` at most: where those of each picture end; boxes, scores and classes as bytes; and whether no box of any row "
     "reaches beyond `limit`. None where a class is no number."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_rows", NULL, 0, methods, slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__rows(void) { return PyModuleDef_Init(&definition); }
