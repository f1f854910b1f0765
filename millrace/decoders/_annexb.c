/* One packet of H.264 or HEVC, rewritten for a hardware decoder: the twin of annexb.py, which says what it means. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

enum { START = 4 }; /* bytes of a start code */

/* The bytes written to `to`, which has room for them, or -1 when the lengths are wrong. */
static Py_ssize_t convert(unsigned char *to, const unsigned char *from, Py_ssize_t size, int length_size) {
    static const unsigned char start[START] = {0, 0, 0, 1};
    Py_ssize_t at = 0, out = 0;
    if (length_size == 0) {
        memcpy(to, from, (size_t)size);
        return size;
    }
    while (at + length_size <= size) {
        unsigned long long length = 0;
        for (int k = 0; k < length_size; k++) length = length << 8 | from[at + k];
        at += length_size;
        if (length > (unsigned long long)(size - at)) return -1;
        memcpy(to + out, start, START);
        memcpy(to + out + START, from + at, (size_t)length);
        at += (Py_ssize_t)length;
        out += START + (Py_ssize_t)length;
    }
    return at == size ? out : -1;
}

static PyObject *write_packet(PyObject *self, PyObject *args) {
    Py_buffer to, header, from;
    int length_size;
    if (!PyArg_ParseTuple(args, "w*y*y*i", &to, &header, &from, &length_size)) return NULL;
    Py_ssize_t result = 0;
    Py_ssize_t need = header.len + from.len * (length_size == 0 || length_size == START ? 1 : START);
    if (length_size < 0 || length_size > START) {
        PyErr_SetString(PyExc_ValueError, "a length has 1 to 4 bytes");
    } else if (need > to.len) {
        result = -need;
    } else {
        memcpy(to.buf, header.buf, (size_t)header.len);
        result = convert((unsigned char *)to.buf + header.len, from.buf, from.len, length_size);
        result = result < 0 ? 0 : header.len + result;
    }
    PyBuffer_Release(&to);
    PyBuffer_Release(&header);
    PyBuffer_Release(&from);
    return PyErr_Occurred() ? NULL : PyLong_FromSsize_t(result);
}

static PyMethodDef METHODS[] = {
    {"write", write_packet, METH_VARARGS,
     "write(to, header, packet, length_size) -> bytes written; 0: its lengths are wrong; below 0: so much room is needed"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_annexb", "Packets for hardware decoders.", 0, METHODS,
                                    NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__annexb(void) { return PyModule_Create(&MODULE); }
