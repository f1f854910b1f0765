/* One picture, or a part of it, to its place in a model's input, in one pass: see imaging/kernels.py, and rows.h for
how. This file checks what Python hands over, and lends memory for a handful of rows. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdlib.h>

#include "rows.h"

enum { LARGEST = 1 << 20 }; /* pixels of a side */

/* The rows that work needs, in one block of memory, each beginning at 64 bytes. Without a block only their size. */
static size_t lay_out(Scratch *s, char *block, size_t part, size_t wide)
{
    size_t used = 0;
#define ROW(field, count)                                          \
    do {                                                           \
        if (block != NULL)                                         \
            s->field = (void *)(block + used);                     \
        used += ((count) * sizeof(*s->field) + 63) / 64 * 64;      \
    } while (0)
    for (int k = 0; k < 3; k++) {
        ROW(bytes[k], part);
        ROW(few[k], part);
        ROW(tints[k], part + 2);
    }
    ROW(pixels, part + 1);
    ROW(mixed, wide);
    if (s->means) {
        ROW(spans, wide);
        ROW(line, 4 * wide);
        ROW(sums, 4 * wide);
    } else {
        ROW(wide[0], 4 * wide);
        ROW(wide[1], 4 * wide);
        ROW(left, wide);
        ROW(right, wide);
        ROW(pairs, wide);
        ROW(at, wide);
        ROW(sixteens, 4 * wide);
        ROW(rest, 4 * wide);
    }
#undef ROW
    return used;
}

/* Memory for the work, which the caller frees, and where each pixel of a row comes from. */
static void *prepare(const Source *source, const Target *t, Scratch *s, int means)
{
    int width = t->inner_width, height = t->inner_height;
    s->halved = source->width == 2 * width;
    s->means = means && (!s->halved || source->height != 2 * height); /* halving both sides is the same, and quicker */
    s->whole = source->width % width == 0 && source->height % height == 0;
    char *block = malloc(lay_out(s, NULL, (size_t)source->width, (size_t)width) + 64);
    if (block == NULL)
        return NULL;
    lay_out(s, block + (64 - (uintptr_t)block % 64) % 64, (size_t)source->width, (size_t)width);
    s->row_of[0] = s->row_of[1] = s->tint_row = s->line_row = -1;
    s->nearest = 1;
    for (Py_ssize_t i = 0; i < width; i++) {
        if (s->means) {
            s->spans[i] = span(source->width, width, i, s->whole);
            continue;
        }
        int16_t weight;
        axis(source->width, width, i, &s->at[i], &weight);
        int beyond = s->at[i] >= source->width - 1;
        if (s->at[i] < 0 || beyond) {
            s->at[i] = beyond ? source->width - 1 : 0;
            weight = 0;
        }
        s->nearest &= weight == 0;
        for (int c = 0; c < 4; c++) {
            s->sixteens[4 * i + c] = weight / 16;
            s->rest[4 * i + c] = weight % 16;
        }
    }
    return block;
}

/* The type of a buffer's items, where the bytes lie in this machine's order. */
static char type_of(const Py_buffer *view)
{
    const char *format = view->format ? view->format : "B";
    if (*format != 0 && strchr("@=^<", *format))
        format++;
    return (char)(format[0] != 0 && format[1] == 0 ? format[0] : 0);
}

static int plane_of(Py_buffer *view, Plane *plane)
{
    char type = type_of(view);
    plane->size = type == 'B' ? 1 : type == 'H' ? 2 : 0;
    if (view->ndim != 2 || plane->size == 0 || view->itemsize != plane->size || view->shape[0] < 1 ||
        view->shape[1] < 1 || view->shape[0] > LARGEST || view->shape[1] > LARGEST) {
        PyErr_Format(PyExc_ValueError, "fill: planes are uint8 or uint16 [height, width] of sides 1 to %d", LARGEST);
        return -1;
    }
    plane->data = view->buf;
    plane->row = view->strides[0];
    plane->step = view->strides[1];
    return 0;
}

/* Planes of one size are grey or RGB; a first plane with two of half its size, rounded up, is YUV. */
static int source_of(Py_buffer *views, Py_ssize_t count, const int *colour, const int *part, int to_grey,
                     Source *source)
{
    for (Py_ssize_t k = 0; k < count; k++)
        if (plane_of(&views[k], &source->planes[k]) < 0)
            return -1;
    Py_ssize_t height = views[0].shape[0], width = views[0].shape[1];
    source->kind = count == 1 ? GREY : colour[1] ? YUV : RGB;
    int half = source->kind == YUV ? 2 : 1;
    for (Py_ssize_t k = 1; k < count; k++)
        if (views[k].shape[0] != (height + half - 1) / half || views[k].shape[1] != (width + half - 1) / half) {
            PyErr_SetString(PyExc_ValueError, "fill: the planes' sizes do not fit each other");
            return -1;
        }
    for (int k = 0; k < 6; k++)
        if (colour[k] < -32768 || colour[k] > 32767) {
            PyErr_SetString(PyExc_ValueError, "fill: a colour factor is out of range");
            return -1;
        }
    if (part[0] < 0 || part[1] < 0 || part[2] <= part[0] || part[3] <= part[1] || part[2] > width || part[3] > height) {
        PyErr_SetString(PyExc_ValueError, "fill: the part does not lie in the picture");
        return -1;
    }
    source->x = part[0];
    source->y = part[1];
    source->width = part[2] - part[0];
    source->height = part[3] - part[1];
    source->to_grey = to_grey;
    source->offset = (int16_t)colour[0];
    source->luma = (int16_t)colour[1];
    source->v_to_r = (int16_t)colour[2];
    source->u_to_g = (int16_t)colour[3];
    source->v_to_g = (int16_t)colour[4];
    source->u_to_b = (int16_t)colour[5];
    return 0;
}

static int target_of(Py_buffer *view, Py_buffer *values, const int *inner, int swapped, int pad, Target *t)
{
    char type = type_of(view);
    t->size = type == 'f' ? 4 : type == 'e' ? 2 : type == 'B' || type == 'b' ? 1 : 0;
    if (view->ndim != 3 || t->size == 0 || (view->shape[0] != 1 && view->shape[0] != 3) || view->shape[1] > LARGEST ||
        view->shape[2] > LARGEST) {
        PyErr_SetString(PyExc_ValueError, "fill: the target must be float32, float16, uint8 or int8 [1 or 3, height, width]");
        return -1;
    }
    t->channels = (int)view->shape[0];
    t->height = (int)view->shape[1];
    t->width = (int)view->shape[2];
    if (values->len != (Py_ssize_t)t->channels * (t->size == 4 ? 8 : 256 * t->size) || pad < 0 || pad > 255) {
        PyErr_SetString(PyExc_ValueError, "fill: values do not fit the target, or pad is not 0 to 255");
        return -1;
    }
    if (inner[0] < 0 || inner[1] < 0 || inner[2] < 1 || inner[3] < 1 || inner[2] > t->width ||
        inner[3] > t->height || inner[0] > t->width - inner[2] || inner[1] > t->height - inner[3]) {
        PyErr_SetString(PyExc_ValueError, "fill: the picture's place does not lie in the target");
        return -1;
    }
    t->data = view->buf;
    t->channel = view->strides[0];
    t->row = view->strides[1];
    t->step = view->strides[2];
    t->left = inner[0];
    t->top = inner[1];
    t->inner_width = inner[2];
    t->inner_height = inner[3];
    t->line = values->buf;
    t->table = values->buf;
    t->pad = pad;
    t->plain = t->size == 1;
    for (Py_ssize_t i = 0; t->plain && i < 256 * t->channels; i++)
        t->plain = (uint8_t)t->table[i] == i % 256;
    for (int c = 0; c < t->channels; c++)
        t->shifts[c] = t->channels == 1 ? 0 : 8 * (swapped ? 2 - c : c);
    return 0;
}

static PyObject *fill(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *target, *planes, *values;
    int colour[6], part[4], inner[4], swapped, pad, means;
    if (!PyArg_ParseTuple(args, "OO!(iiiiii)(iiii)(iiii)piOp:fill", &target, &PyTuple_Type, &planes,
                          &colour[0], &colour[1], &colour[2], &colour[3], &colour[4], &colour[5], &part[0], &part[1],
                          &part[2], &part[3], &inner[0], &inner[1], &inner[2], &inner[3], &swapped, &pad, &values,
                          &means))
        return NULL;
    Py_ssize_t count = PyTuple_Size(planes), taken = 0;
    if (count != 1 && count != 3) {
        PyErr_SetString(PyExc_ValueError, "fill: there must be 1 plane, or 3");
        return NULL;
    }
    Py_buffer views[3], out, numbers;
    Source source;
    Target to;
    Scratch scratch;
    void *block = NULL;
    PyObject *result = NULL;
    if (PyObject_GetBuffer(target, &out, PyBUF_STRIDES | PyBUF_FORMAT | PyBUF_WRITABLE) < 0)
        return NULL;
    if (PyObject_GetBuffer(values, &numbers, PyBUF_C_CONTIGUOUS) < 0)
        goto no_values;
    for (; taken < count; taken++)
        if (PyObject_GetBuffer(PyTuple_GetItem(planes, taken), &views[taken], PyBUF_STRIDES | PyBUF_FORMAT) < 0)
            goto done;
    if (target_of(&out, &numbers, inner, swapped, pad, &to) < 0 ||
        source_of(views, count, colour, part, to.channels == 1, &source) < 0)
        goto done;
    if (means && (source.width < to.inner_width || source.height < to.inner_height)) {
        PyErr_SetString(PyExc_ValueError, "fill: there are means of areas only where neither side grows");
        goto done;
    }
    Py_BEGIN_ALLOW_THREADS
    block = prepare(&source, &to, &scratch, means);
    if (block != NULL)
        run(&source, &to, &scratch);
    free(block);
    Py_END_ALLOW_THREADS
    result = block == NULL ? PyErr_NoMemory() : Py_NewRef(Py_None);
done:
    while (taken > 0)
        PyBuffer_Release(&views[--taken]);
    PyBuffer_Release(&numbers);
no_values:
    PyBuffer_Release(&out);
    return result;
}

static PyMethodDef methods[] = {
    {"fill", fill, METH_VARARGS,
     "fill(target, planes, colour, part, place, reverse, pad, values, means)\n\nSee imaging/kernels.py."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_kernels", NULL, 0, methods, slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__kernels(void) { return PyModuleDef_Init(&definition); }
