/* Objects and plain values as JSON text: what outputs/jsonl.py does in Python, to the letter. What is not plain here
(numbers beyond these, odd types, masks, keypoints, …) is handed back to Python, which writes it. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { DEEPEST = 16, MOST = 16 }; /* MOST: rules, which are compared with each other */
enum Answer { FAILED = -1, PLAIN = 0, ODD = 1 }; /* ODD: Python shall write this one */

typedef struct {
    char *data;
    size_t used, size;
} Text;

static PyObject *s_box, *s_label, *s_class_id, *s_confidence, *s_id, *s_labels, *s_extras, *s_analytics, *s_parent,
    *s_text, *s_keypoints, *s_angle, *s_depth, *s_mask, *s_embedding, *s_name, *s_value, *s_kind, *s_values;

static int add(Text *t, const char *bytes, size_t n)
{
    if (t->data == NULL || t->used + n > t->size) {
        size_t size = 2 * (t->used + n) + 1024;
        char *data = PyMem_Realloc(t->data, size);
        if (data == NULL) {
            PyErr_NoMemory();
            return FAILED;
        }
        t->data = data;
        t->size = size;
    }
    memcpy(t->data + t->used, bytes, n);
    t->used += n;
    return PLAIN;
}

#define ADD(t, literal) add(t, literal, sizeof(literal) - 1)

/* Write the digits of a number before `end`; where they begin. */
static char *digits_of(uint64_t rest, char *end)
{
    do
        *--end = (char)('0' + rest % 10);
    while (rest /= 10);
    return end;
}

/* Whether rint rounds a product with a power of ten of four digits as its exact value would be rounded: the product of
a float32 is exact in double precision, others are off by far less than they are away from a half. */
static int rounds(double value, double product)
{
    return (double)(float)value == value || (product < 1e9 && fabs(product - floor(product) - 0.5) > 1e-5);
}

/* A number of `places` decimals, 1 to 4: rounded from its exact value, halves to even, as Python's formatting does; by
Python's own conversion where that is in doubt. With `shortest` zeros at the end go, but for one decimal. */
static int number(Text *t, double value, int places, int shortest)
{
    static const double powers[] = {1, 10, 100, 1000, 10000};
    char digits[40], *end = digits + sizeof digits, *first = end;
    if (!isfinite(value) || fabs(value) >= 1e9)
        return ODD;
    double product = fabs(value) * powers[places];
    if (rounds(value, product)) {
        uint64_t rest = (uint64_t)rint(product);
        for (int k = 0; k < places; k++, rest /= 10)
            *--first = (char)('0' + rest % 10);
        *--first = '.';
        first = digits_of(rest, first);
        if (signbit(value))
            *--first = '-';
    } else {
        char *made = PyOS_double_to_string(value, 'f', places, 0, NULL);
        if (made == NULL)
            return FAILED;
        size_t n = strlen(made);
        first = end - n;
        memcpy(first, made, n);
        PyMem_Free(made);
    }
    while (shortest && end - first > 2 && end[-1] == '0' && end[-2] != '.')
        end--;
    return add(t, first, (size_t)(end - first));
}

static int whole(Text *t, PyObject *value)
{
    char digits[32], *end = digits + sizeof digits;
    if (!PyLong_CheckExact(value))
        return ODD;
    int overflow = 0;
    long long n = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow)
        return ODD;
    if (n == -1 && PyErr_Occurred())
        return FAILED;
    char *first = digits_of(n < 0 ? 0 - (uint64_t)n : (uint64_t)n, end);
    if (n < 0)
        *--first = '-';
    return add(t, first, (size_t)(end - first));
}

/* Text of printable ASCII without quotes and backslashes. */
static int quoted(Text *t, PyObject *value)
{
    if (!PyUnicode_CheckExact(value))
        return ODD;
    Py_ssize_t n;
    const char *bytes = PyUnicode_AsUTF8AndSize(value, &n);
    if (bytes == NULL) { /* a lone surrogate */
        PyErr_Clear();
        return ODD;
    }
    for (Py_ssize_t k = 0; k < n; k++)
        if (bytes[k] < 0x20 || bytes[k] > 0x7e || bytes[k] == '"' || bytes[k] == '\\')
            return ODD;
    int answer = ADD(t, "\"");
    if (answer == PLAIN)
        answer = add(t, bytes, (size_t)n);
    return answer == PLAIN ? ADD(t, "\"") : answer;
}

static int written(Text *t, PyObject *value, int depth);

static int row(Text *t, PyObject *value, int depth)
{
    int is_list = PyList_CheckExact(value), answer = ADD(t, "[");
    Py_ssize_t n = is_list ? PyList_Size(value) : PyTuple_Size(value);
    for (Py_ssize_t k = 0; k < n && answer == PLAIN; k++) {
        if (k > 0)
            answer = ADD(t, ",");
        if (answer == PLAIN)
            answer = written(t, is_list ? PyList_GetItem(value, k) : PyTuple_GetItem(value, k), depth + 1);
    }
    return answer == PLAIN ? ADD(t, "]") : answer;
}

static int table(Text *t, PyObject *value, int depth)
{
    PyObject *key, *each;
    Py_ssize_t at = 0;
    int answer = ADD(t, "{"), first = 1;
    while (answer == PLAIN && PyDict_Next(value, &at, &key, &each)) {
        if (!first)
            answer = ADD(t, ",");
        first = 0;
        if (answer == PLAIN)
            answer = quoted(t, key);
        if (answer == PLAIN)
            answer = ADD(t, ":");
        if (answer == PLAIN)
            answer = written(t, each, depth + 1);
    }
    return answer == PLAIN ? ADD(t, "}") : answer;
}

static int written(Text *t, PyObject *value, int depth)
{
    if (depth > DEEPEST)
        return ODD;
    if (PyUnicode_CheckExact(value))
        return quoted(t, value);
    if (PyFloat_CheckExact(value))
        return number(t, PyFloat_AsDouble(value), 3, 1);
    if (PyLong_CheckExact(value))
        return whole(t, value);
    if (PyDict_CheckExact(value))
        return table(t, value, depth);
    if (PyList_CheckExact(value) || PyTuple_CheckExact(value))
        return row(t, value, depth);
    if (value == Py_None)
        return ADD(t, "null");
    if (value == Py_True)
        return ADD(t, "true");
    return value == Py_False ? ADD(t, "false") : ODD;
}

static int is_none(PyObject *object, PyObject *name)
{
    PyObject *value = PyObject_GetAttr(object, name);
    if (value == NULL)
        return FAILED;
    Py_DecRef(value);
    return value == Py_None;
}

/* Apply `write` to an attribute. */
static int attribute(Text *t, PyObject *object, PyObject *name, int (*write)(Text *, PyObject *))
{
    PyObject *value = PyObject_GetAttr(object, name);
    if (value == NULL)
        return FAILED;
    int answer = write(t, value);
    Py_DecRef(value);
    return answer;
}

static int four(Text *t, PyObject *box)
{
    Py_buffer view;
    if (PyObject_GetBuffer(box, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) < 0) {
        PyErr_Clear();
        return ODD;
    }
    int answer = ODD;
    if (view.len == 4 * sizeof(float) && view.ndim == 1 && view.format != NULL && strcmp(view.format, "f") == 0) {
        float sides[4];
        memcpy(sides, view.buf, sizeof sides);
        answer = PLAIN;
        for (int k = 0; k < 4 && answer == PLAIN; k++) {
            if (k > 0)
                answer = ADD(t, ",");
            if (answer == PLAIN)
                answer = number(t, sides[k], 2, 0);
        }
    }
    PyBuffer_Release(&view);
    return answer;
}

static int sure(Text *t, PyObject *value)
{
    return PyFloat_CheckExact(value) ? number(t, PyFloat_AsDouble(value), 4, 0) : ODD;
}

static int sure_shortly(Text *t, PyObject *value)
{
    return PyFloat_CheckExact(value) ? number(t, PyFloat_AsDouble(value), 4, 1) : ODD;
}

static int identity(Text *t, PyObject *value) { return value == Py_None ? ADD(t, "null") : whole(t, value); }

#define STEP(what)                \
    do {                          \
        int answer_ = (what);     \
        if (answer_ != PLAIN)     \
            return answer_;       \
    } while (0)

static int analytics(Text *t, PyObject *extras)
{
    if (!PyDict_CheckExact(extras))
        return ODD;
    PyObject *said = PyDict_GetItemWithError(extras, s_analytics);
    if (said == NULL)
        return PyErr_Occurred() ? FAILED : PLAIN;
    Py_IncRef(said); /* its truth may be code, which may change the dictionary */
    int there = PyObject_IsTrue(said), answer = there < 0 ? FAILED : PLAIN;
    if (there > 0)
        answer = ADD(t, ",\"analytics\":");
    if (there > 0 && answer == PLAIN)
        answer = written(t, said, 0);
    Py_DecRef(said);
    return answer;
}

static int label_of(Text *t, PyObject *label)
{
    STEP(ADD(t, "{\"name\":"));
    STEP(attribute(t, label, s_name, quoted));
    STEP(ADD(t, ",\"value\":"));
    STEP(attribute(t, label, s_value, quoted));
    STEP(ADD(t, ",\"confidence\":"));
    STEP(attribute(t, label, s_confidence, sure_shortly));
    return ADD(t, "}");
}

static int labels(Text *t, PyObject *list)
{
    if (!PyList_CheckExact(list))
        return ODD;
    if (PyList_Size(list) == 0)
        return PLAIN;
    STEP(ADD(t, ",\"labels\":["));
    for (Py_ssize_t k = 0; k < PyList_Size(list); k++) { /* attributes may be code, which may change the list */
        PyObject *label = PyList_GetItem(list, k);
        Py_IncRef(label);
        int answer = k > 0 ? ADD(t, ",") : PLAIN;
        if (answer == PLAIN)
            answer = label_of(t, label);
        Py_DecRef(label);
        STEP(answer);
    }
    return ADD(t, "]");
}

static int object_of(Text *t, PyObject *found)
{
    PyObject *nothing[] = {s_parent, s_text, s_keypoints, s_angle, s_depth, s_mask, s_embedding};
    for (size_t k = 0; k < sizeof nothing / sizeof *nothing; k++) {
        int none = is_none(found, nothing[k]);
        if (none <= 0)
            return none < 0 ? FAILED : ODD;
    }
    STEP(ADD(t, "{\"box\":["));
    STEP(attribute(t, found, s_box, four));
    STEP(ADD(t, "],\"label\":"));
    STEP(attribute(t, found, s_label, quoted));
    STEP(ADD(t, ",\"class_id\":"));
    STEP(attribute(t, found, s_class_id, whole));
    STEP(ADD(t, ",\"confidence\":"));
    STEP(attribute(t, found, s_confidence, sure));
    STEP(ADD(t, ",\"id\":"));
    STEP(attribute(t, found, s_id, identity));
    STEP(attribute(t, found, s_extras, analytics));
    STEP(attribute(t, found, s_labels, labels));
    return ADD(t, "}");
}

/* Add the ASCII text that Python makes of a value. */
static int by_python(Text *t, PyObject *function, PyObject *value)
{
    PyObject *made = PyObject_CallFunctionObjArgs(function, value, NULL);
    if (made == NULL)
        return FAILED;
    Py_ssize_t n;
    const char *bytes = PyUnicode_AsUTF8AndSize(made, &n);
    int answer = bytes == NULL ? FAILED : add(t, bytes, (size_t)n);
    Py_DecRef(made);
    return answer;
}

static PyObject *given(Text *t, int answer)
{
    PyObject *out = answer == FAILED ? NULL : PyUnicode_FromStringAndSize(t->data, (Py_ssize_t)t->used);
    PyMem_Free(t->data);
    return out;
}

static int objects(Text *t, PyObject *list, PyObject *odd)
{
    int answer = PLAIN;
    for (Py_ssize_t k = 0; k < PyList_Size(list) && answer == PLAIN; k++) {
        PyObject *found = PyList_GetItem(list, k);
        Py_IncRef(found);
        if (k > 0)
            answer = ADD(t, ",");
        size_t before = t->used;
        if (answer == PLAIN)
            answer = object_of(t, found);
        if (answer == ODD) {
            t->used = before;
            answer = by_python(t, odd, found);
        }
        Py_DecRef(found);
    }
    return answer;
}

/* A key of a rule of text, borrowed; NULL where it has none (an error, or odd). */
static PyObject *word_of(PyObject *rule, PyObject *name)
{
    PyObject *word = PyDict_GetItemWithError(rule, name);
    return word != NULL && PyUnicode_CheckExact(word) ? word : NULL;
}

/* 1, 0, or -1 on error: whether a rule before `at` has the same text under a key; of its kind only, with `kind`. */
static int told_before(PyObject *rules, Py_ssize_t at, PyObject *key, PyObject *word, PyObject *kind)
{
    for (Py_ssize_t k = 0; k < at; k++) {
        PyObject *other = PyList_GetItem(rules, k), *own = kind == NULL ? NULL : word_of(other, s_kind);
        int same = kind == NULL ? 1 : own == NULL ? 0 : PyObject_RichCompareBool(own, kind, Py_EQ);
        if (same > 0)
            same = (own = word_of(other, key)) == NULL ? 0 : PyObject_RichCompareBool(own, word, Py_EQ);
        if (same != 0)
            return same;
    }
    return 0;
}

/* {"lines": {"door": {…}, …}, …} of what analytics shows. ODD unless all have values, names of their own, and kinds
stand together, as they do as a rule. */
static int rules_of(Text *t, PyObject *rules)
{
    PyObject *before = NULL;
    if (!PyList_CheckExact(rules) || PyList_Size(rules) > MOST)
        return ODD;
    for (Py_ssize_t k = 0; k < PyList_Size(rules); k++) {
        PyObject *rule = PyList_GetItem(rules, k);
        if (!PyDict_CheckExact(rule))
            return ODD;
        PyObject *kind = word_of(rule, s_kind), *name = word_of(rule, s_name);
        PyObject *values = PyDict_GetItemWithError(rule, s_values);
        if (kind == NULL || name == NULL || values == NULL)
            return PyErr_Occurred() ? FAILED : ODD;
        int same = before == NULL ? 0 : PyObject_RichCompareBool(before, kind, Py_EQ);
        int again = told_before(rules, k, same > 0 ? s_name : s_kind, same > 0 ? name : kind, same > 0 ? kind : NULL);
        if (same < 0 || again != 0)
            return same < 0 || again < 0 ? FAILED : ODD;
        if (same) {
            STEP(ADD(t, ","));
        } else {
            STEP(before == NULL ? ADD(t, ",\"analytics\":{") : ADD(t, "},"));
            STEP(quoted(t, kind));
            t->data[t->used - 1] = 's'; /* in place of the quote */
            STEP(ADD(t, "\":{"));
        }
        STEP(quoted(t, name));
        STEP(ADD(t, ":"));
        STEP(written(t, values, 2));
        before = kind;
    }
    return before == NULL ? PLAIN : ADD(t, "}}");
}

static PyObject *line(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *list, *odd, *rules, *odd_rules;
    const char *head, *tail;
    Py_ssize_t head_size, tail_size;
    if (!PyArg_ParseTuple(args, "s#O!OOOs#:line", &head, &head_size, &PyList_Type, &list, &odd, &rules, &odd_rules,
                          &tail, &tail_size))
        return NULL;
    Text t = {NULL, 0, 0};
    int answer = add(&t, head, (size_t)head_size);
    if (answer == PLAIN)
        answer = objects(&t, list, odd);
    if (answer == PLAIN)
        answer = ADD(&t, "]");
    size_t before = t.used;
    if (answer == PLAIN && rules != Py_None)
        answer = rules_of(&t, rules);
    if (answer == ODD) {
        t.used = before;
        answer = by_python(&t, odd_rules, rules);
    }
    if (answer == PLAIN)
        answer = add(&t, tail, (size_t)tail_size);
    return given(&t, answer);
}

static PyObject *compact(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *value, *odd;
    if (!PyArg_ParseTuple(args, "OO:compact", &value, &odd))
        return NULL;
    Text t = {NULL, 0, 0};
    int answer = written(&t, value, 0);
    if (answer == ODD) {
        t.used = 0;
        answer = by_python(&t, odd, value);
    }
    return given(&t, answer);
}

static PyMethodDef methods[] = {
    {"line", line, METH_VARARGS,
     "line(head, objects, odd, rules, odd_rules, tail)\n\nA frame as JSON: its objects after the head, and what its rules "
     "have counted (None: nothing), before the tail. odd(found) and odd_rules(rules) write what is not plain."},
    {"compact", compact, METH_VARARGS,
     "compact(value, odd)\n\nA value as JSON without spaces, numbers to a thousandth; odd(value) writes one not plain."},
    {NULL, NULL, 0, NULL},
};

static int names(PyObject *module)
{
    (void)module;
    struct {
        PyObject **place;
        const char *name;
    } all[] = {
        {&s_box, "box"}, {&s_label, "label"}, {&s_class_id, "class_id"}, {&s_confidence, "confidence"}, {&s_id, "id"},
        {&s_labels, "labels"}, {&s_extras, "extras"}, {&s_analytics, "analytics"}, {&s_parent, "parent"},
        {&s_text, "text"}, {&s_keypoints, "keypoints"}, {&s_angle, "angle"}, {&s_depth, "depth"}, {&s_mask, "mask"},
        {&s_embedding, "embedding"}, {&s_name, "name"}, {&s_value, "value"},
        {&s_kind, "kind"}, {&s_values, "values"},
    };
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        if (*all[k].place == NULL && (*all[k].place = PyUnicode_InternFromString(all[k].name)) == NULL)
            return -1;
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, names}, {0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_lines", NULL, 0, methods, slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__lines(void) { return PyModuleDef_Init(&definition); }
