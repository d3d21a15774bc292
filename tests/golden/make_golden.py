#!/usr/bin/env python3
"""Writes the golden figures of tests/data with PyTorch: values and gradients of ops, dtypes of results, and loss curves.

    python tests/golden/make_golden.py            (needs torch; run it in the root of the source tree)

The files are small and committed, so the tests need no PyTorch. Each case of golden_ops.txt has its counterpart of the same name in
tests/golden/golden_cases.cpp. Random inputs come from a fixed seed; the files say which version of PyTorch wrote them.
"""
import math
import pathlib

import torch
import torch.nn.functional as F

DATA = pathlib.Path("tests/data")
NAMES = {torch.float32: "f32", torch.float64: "f64", torch.int64: "i64", torch.int32: "i32", torch.uint8: "u8", torch.bool: "bool"}
DTYPES = {name: dtype for dtype, name in NAMES.items()}
f32, f64, i64, i32, u8 = torch.float32, torch.float64, torch.int64, torch.int32, torch.uint8
nan, inf = math.nan, math.inf


def real(*shape, low=-2.0, high=2.0, dtype=f32, grad=True):
    t = (low + (high - low) * torch.rand(shape, dtype=f64)).to(f32).to(dtype)
    return t.requires_grad_(grad)


def given(values, dtype=f32, grad=False):
    return torch.tensor(values, dtype=dtype).requires_grad_(grad)


def index(*shape, high):
    return torch.randint(0, high, shape)


def number(v, dtype):
    if dtype.is_floating_point:
        return repr(v) if dtype == f64 else "%.9g" % v
    return str(int(v))


def line(word, t):
    shape = ",".join(str(n) for n in t.shape) or "-"
    values = " ".join(number(v, t.dtype) for v in t.detach().reshape(-1).tolist())
    return f"{word} {NAMES[t.dtype]} {shape} {values}".rstrip()


def write_case(out, name, f, inputs):
    result = f(*inputs)
    results = list(result) if isinstance(result, (tuple, list)) else [result]
    out.append(f"case {name}")
    out += [line("tracked" if t.requires_grad else "in", t) for t in inputs]
    out += [line("out", r) for r in results]
    tracked = [t for t in inputs if t.requires_grad]
    outputs = [r for r in results if r.requires_grad]
    if outputs:
        # The weighted sum whose gradient is taken: weight 0.5 + 0.25 (i mod 5) for element i of every result.
        weights = [(0.5 + 0.25 * (torch.arange(r.numel()) % 5)).to(r.dtype).reshape(r.shape) for r in outputs]
        grads = torch.autograd.grad(outputs, tracked, weights, allow_unused=True)
        out += [line("grad", g if g is not None else torch.zeros_like(t)) for g, t in zip(grads, tracked)]


def cases():
    a, b = real(2, 3), real(2, 3, low=0.5)
    row, positive, x = real(3, low=0.5), real(2, 3, low=0.2, high=3), real(2, 3, 4)
    odd = given([nan, inf, -inf, 0.0, -0.0, 1e-40, 3e38, -3e38, 1e-45, 88.8, -103.5, 17.0])
    yield from [(n, f, (a, b)) for n, f in {
        "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "maximum": torch.maximum, "minimum": torch.minimum}.items()]
    yield from [(n + "_broadcast", f, (a, row)) for n, f in {"add": torch.add, "div": torch.div, "maximum": torch.maximum}.items()]
    yield "pow", torch.pow, (positive, real(2, 3))
    yield "pow_scalar", lambda t: t ** 2.5, (positive,)
    yield "pow_zero", lambda t: t ** 0.0, (a,)
    for n, f in {"neg": torch.neg, "abs": torch.abs, "sign": torch.sign, "square": torch.square, "exp": torch.exp, "erf": torch.erf,
                 "tanh": torch.tanh, "sigmoid": torch.sigmoid, "softplus": lambda t: F.softplus(t, threshold=1e9), "relu": torch.relu,
                 "gelu": F.gelu, "gelu_tanh": lambda t: F.gelu(t, approximate="tanh")}.items():
        yield n, f, (a,)
        # PyTorch gives 0 for sign(NaN), and its softplus and gelu overflow before their results do: no model for us.
        if n not in ("sign", "softplus", "gelu", "gelu_tanh"):
            yield n + "_odd", f, (odd,)
    for n, f in {"log": torch.log, "sqrt": torch.sqrt}.items():
        yield n, f, (positive,)
        yield n + "_odd", f, (odd,)
    yield "clamp", lambda t: torch.clamp(t, -0.5, 1.0), (a,)
    yield "clamp_odd", lambda t: torch.clamp(t, -0.5, 1.0), (odd,)
    yield "where", torch.where, (given([True, False, True], torch.bool), a, b)
    ties = given([1.0, 3.0, 3.0, 2.0], grad=True)
    yield "maximum_ties", torch.maximum, (ties, given([1.0, 2.0, 3.0, 4.0], grad=True))
    yield "maximum_odd", lambda s, t: torch.maximum(s, t), (odd, given([1.0, nan] * 6))
    yield "minimum_odd", lambda s, t: torch.minimum(s, t), (odd, given([1.0, nan] * 6))
    for op, f in {"eq": torch.eq, "ne": torch.ne, "lt": torch.lt, "le": torch.le, "gt": torch.gt, "ge": torch.ge}.items():
        yield op + "_odd", f, (odd, given([1.0, nan, -inf, 0.0] * 3))
    tops, bottoms = [7, -7, 7, -7, 6, -6, 0, 1], [2, 2, -2, -2, 3, 3, 5, -3]
    for d in (i64, i32, f32, f64):
        yield "floor_divide_" + NAMES[d], torch.floor_divide, (given(tops, d), given(bottoms, d))
        yield "remainder_" + NAMES[d], torch.remainder, (given(tops, d), given(bottoms, d))
    divisors = given([2.0, -3.0, 0.0, -0.0, inf, -inf, nan, 1e30, 0.3, -0.3, 5.0, 7.0])
    for base in (5.5, -5.5, inf, 0.0):
        yield f"floor_divide_by_{base:g}", torch.floor_divide, (given([base] * 12), divisors)
        yield f"remainder_by_{base:g}", torch.remainder, (given([base] * 12), divisors)
    # reductions
    for n, f in {"sum": torch.sum, "mean": torch.mean, "amax": torch.amax, "amin": torch.amin}.items():
        yield n + "_last", lambda t, f=f: f(t, -1), (x,)
        yield n + "_two_keep", lambda t, f=f: f(t, (0, 2), keepdim=True), (x,)
    yield "var_unbiased", lambda t: torch.var(t, (0, 2), unbiased=True), (x,)
    yield "var_biased_keep", lambda t: torch.var(t, 1, unbiased=False, keepdim=True), (x,)
    yield "amax_ties", lambda t: torch.amax(t, 0), (ties,)
    rows = given([[1.0, nan, 3.0, nan], [2.0, 5.0, 5.0, 1.0], [-inf, -inf, -inf, -inf], [0.0, -0.0, 0.0, -1.0]])
    for n, f in {"max": torch.max, "min": torch.min}.items():
        yield n + "_dim", lambda t, f=f: tuple(f(t, 1)), (x,)
        yield n + "_dim_odd", lambda t, f=f: tuple(f(t, 1)), (rows,)
        yield n + "_all", lambda t, f=f: f(t), (x,)
    for n, f in {"argmax": torch.argmax, "argmin": torch.argmin}.items():
        yield n + "_dim_odd", lambda t, f=f: f(t, 1), (rows,)
        yield n + "_all", lambda t, f=f: f(t), (x.detach(),)
        yield n + "_ints", lambda t, f=f: f(t, 0, keepdim=True), (given([[3, 1], [3, 0], [2, 0]], i64),)
    yield "sum_u8", lambda t: torch.sum(t), (given([200, 100, 255], u8),)
    yield "sum_empty", lambda t: torch.sum(t, 0), (torch.zeros(0, 3),)
    yield "mean_empty", lambda t: torch.mean(t, 0), (torch.zeros(0, 3),)
    # matrices and layers
    for n, s, t in [("vectors", (3,), (3,)), ("matrix_vector", (2, 3), (3,)), ("vector_matrix", (3,), (3, 4)), ("matrices", (2, 3), (3, 4)),
                    ("batched", (2, 1, 2, 3), (3, 3, 2)), ("vector_batched", (3,), (2, 3, 2))]:
        yield "matmul_" + n, torch.matmul, (real(*s), real(*t))
    yield "linear", F.linear, (real(2, 3), real(4, 3), real(4))
    yield "linear_relu", lambda t, w, v: torch.relu(F.linear(t, w, v)), (real(2, 2, 3), real(4, 3), real(4))
    for n, xs, ws, o in [("plain", (2, 3, 5, 4), (2, 3, 3, 2), {}), ("stride", (1, 2, 6, 7), (2, 2, 3, 3), dict(stride=(2, 1), padding=(1, 2))),
                         ("dilation", (1, 2, 6, 6), (2, 2, 2, 3), dict(dilation=(2, 1))), ("groups", (1, 4, 4, 3), (6, 2, 2, 2), dict(groups=2))]:
        yield "conv2d_" + n, lambda t, w, v, o=o: F.conv2d(t, w, v, **o), (real(*xs), real(*ws), real(ws[0]))
    image = real(2, 2, 5, 6)
    yield "max_pool2d", lambda t: F.max_pool2d(t, (2, 3), return_indices=True), (image,)
    yield "max_pool2d_options", lambda t: F.max_pool2d(t, 3, (2, 1), 1, return_indices=True), (image,)
    yield "max_pool2d_dilation", lambda t: F.max_pool2d(t, 2, 1, 0, (2, 3), return_indices=True), (image,)
    yield "avg_pool2d", lambda t: F.avg_pool2d(t, (2, 3)), (image,)
    yield "avg_pool2d_counted", lambda t: F.avg_pool2d(t, 3, (2, 1), 1), (image,)
    yield "avg_pool2d_not_counted", lambda t: F.avg_pool2d(t, 3, (2, 1), 1, count_include_pad=False), (image,)
    for n, training in (("train", True), ("eval", False)):
        def norm(t, m, v, w, c, training=training):
            m, v = m.clone(), v.clone()
            return F.batch_norm(t, m, v, w, c, training, 0.3, 1e-3), m, v
        yield "batch_norm_" + n, norm, (image, real(2, grad=False), real(2, low=0.5, grad=False), real(2), real(2))
    for dim in (0, -1):
        yield f"softmax{dim}", lambda t, d=dim: F.softmax(t, d), (a,)
        yield f"log_softmax{dim}", lambda t, d=dim: F.log_softmax(t, d), (a,)
    yield "softmax_odd", lambda t: F.softmax(t, 1), (given([[0.0, -inf, 1.0], [1000.0, 0.0, -1000.0], [inf, 0.0, 1.0], [nan, 0.0, 1.0], [-inf] * 3]),)
    logits, classes, share = real(4, 3), index(4, high=3), F.softmax(real(4, 3, grad=False), 1)
    p, t = real(2, 3, low=0.05, high=0.95), real(2, 3, low=0.05, high=0.95, grad=False)
    for r in ("none", "mean", "sum"):
        yield "cross_entropy_classes_" + r, lambda s, c, r=r: F.cross_entropy(s, c, reduction=r), (logits, classes)
        yield "cross_entropy_shares_" + r, lambda s, c, r=r: F.cross_entropy(s, c, reduction=r), (logits, share)
        yield "bce_" + r, lambda s, c, r=r: F.binary_cross_entropy(s, c, reduction=r), (p, t)
        yield "bce_logits_" + r, lambda s, c, r=r: F.binary_cross_entropy_with_logits(s, c, reduction=r), (a, t)
        yield "mse_" + r, lambda s, c, r=r: F.mse_loss(s, c, reduction=r), (a, t)
    yield "bce_certain", lambda s, c: F.binary_cross_entropy(s, c, reduction="none"), (given([0.0, 1.0, 0.0, 1.0]), given([0.0, 1.0, 1.0, 0.0]))
    # indexing, joining
    table = real(5, 3)
    yield "index_select", lambda s, i: torch.index_select(s, 1, i), (table, index(4, high=3))
    yield "gather", lambda s, i: torch.gather(s, 0, i), (table, index(4, 3, high=5))
    yield "index_add", lambda s, i, v: torch.index_add(s, 0, i, v), (table, given([1, 1, 4], i64), real(3, 3))
    yield "scatter_add", lambda s, i, v: torch.scatter_add(s, 0, i, v), (table, index(2, 3, high=5), real(2, 3))
    yield "embedding", lambda s, i: F.embedding(i, s), (table, index(2, 3, high=5))
    yield "cat", lambda s, v: torch.cat([s, v], 1), (a, real(2, 1))
    yield "stack", lambda s, v: torch.stack([s, v], -1), (a, b)
    yield "split", lambda s: torch.split(s, 2, 1), (table,)
    yield "slices", lambda s: s[1:5:2, :2].t().reshape(-1), (table,)
    yield "casts_from_f32", lambda s: (s.to(i32), s.to(i64)), (given([1.9, -1.9, 0.5, -0.0, 100.99]),)
    yield "arange_real", lambda: torch.arange(0.5, 2.6, 0.3), ()
    yield "linspace", lambda: torch.linspace(-1, 2, 7), ()
    # later additions stand at the end: the random inputs of all other cases stay as they are
    weight, bias, far = real(4), real(4), real(3, 4, low=99.0, high=101.0)
    yield "layer_norm", lambda t, w, v: F.layer_norm(t, (4,), w, v), (x, weight, bias)
    yield "layer_norm_two_dims", lambda t, w, v: F.layer_norm(t, (3, 4), w, v, 1e-3), (x, real(3, 4), real(3, 4))
    yield "layer_norm_plain", lambda t: F.layer_norm(t, (4,)), (x,)
    yield "layer_norm_weight", lambda t, w: F.layer_norm(t, (4,), w), (x, weight)
    yield "layer_norm_bias", lambda t, v: F.layer_norm(t, (4,), None, v), (x, bias)
    yield "layer_norm_far", lambda t, w, v: F.layer_norm(t, (4,), w, v), (far.detach().double().requires_grad_(), weight.detach().double().requires_grad_(), bias.detach().double().requires_grad_())
    for n, size in {"divides": (5, 3), "one": (1, 1), "uneven": (3, 4), "larger": (7, 8), "mixed": (2, 4)}.items():
        yield "adaptive_avg_pool2d_" + n, lambda t, s=size: F.adaptive_avg_pool2d(t, s), (image,)
    # attention
    yield "masked_fill", lambda s, m: s.masked_fill(m, 1.5), (a, given([True, False, True], torch.bool))
    yield "attention", F.scaled_dot_product_attention, (real(2, 2, 3, 4), real(2, 2, 5, 4), real(2, 2, 5, 3))
    yield "attention_causal", lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.7), (
        real(2, 3, 4), real(2, 5, 4), real(2, 5, 4))


def write_ops():
    torch.manual_seed(1)
    out = [f"# PyTorch {torch.__version__.split('+')[0]}; made by tests/golden/make_golden.py"]
    for name, f, inputs in cases():
        write_case(out, name, f, inputs)
    (DATA / "golden_ops.txt").write_text("\n".join(out) + "\n")


def write_promotion():
    rows = ["kind,a,b,result"]
    one = {n: torch.ones(2, dtype=d) for n, d in DTYPES.items()}
    zero = {n: torch.ones((), dtype=d) for n, d in DTYPES.items()}
    scalars = {"bool": True, "int": 1, "float": 1.5}
    for n in DTYPES:
        for m in DTYPES:
            rows.append(f"tensor_tensor,{n},{m},{NAMES[torch.result_type(one[n], one[m])]}")
            rows.append(f"tensor_rank0,{n},{m},{NAMES[torch.result_type(one[n], zero[m])]}")
            rows.append(f"rank0_rank0,{n},{m},{NAMES[torch.result_type(zero[n], zero[m])]}")
        for k, s in scalars.items():
            rows.append(f"tensor_number,{n},{k},{NAMES[torch.result_type(one[n], s)]}")
            rows.append(f"rank0_number,{n},{k},{NAMES[torch.result_type(zero[n], s)]}")
    (DATA / "promotion.csv").write_text("\n".join(rows) + "\n")

    unary = {"neg": torch.neg, "abs": torch.abs, "sign": torch.sign, "square": torch.square, "exp": torch.exp, "sqrt": torch.sqrt,
             "tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": torch.relu, "isnan": torch.isnan, "sum": torch.sum, "mean": torch.mean,
             "max": torch.max, "argmax": torch.argmax}
    binary = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "floor_divide": torch.floor_divide,
              "remainder": torch.remainder, "pow": torch.pow, "maximum": torch.maximum, "eq": torch.eq, "lt": torch.lt,
              "cat": lambda s, t: torch.cat([s, t]), "where": lambda s, t: torch.where(s == t, s, t)}

    def dtype_of(f, *args):
        try:
            return NAMES[f(*args).dtype]
        except (RuntimeError, KeyError):
            return "error"

    rows = ["op,a,b,result"]
    for op, f in unary.items():
        rows += [f"{op},{n},-,{dtype_of(f, one[n])}" for n in DTYPES]
    for op, f in binary.items():
        rows += [f"{op},{n},{m},{dtype_of(f, one[n], one[m])}" for n in DTYPES for m in DTYPES]
    (DATA / "result_dtypes.csv").write_text("\n".join(rows) + "\n")


def wave(*shape, phase, scale=0.5):
    """Numbers both sides can make: scale sin(0.7 i + phase), in f64."""
    n = math.prod(shape)
    return torch.tensor([scale * math.sin(0.7 * i + phase) for i in range(n)], dtype=f64).reshape(shape)


def train(parameters, loss_of, steps, lr, momentum):
    losses, velocity = [], [torch.zeros_like(p) for p in parameters]
    for p in parameters:
        p.requires_grad_()
    for _ in range(steps):
        loss = loss_of()
        losses.append(loss.item())
        grads = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for p, g, v in zip(parameters, grads, velocity):
                v.mul_(momentum).add_(g)
                p.sub_(lr * v)
    return losses


def write_training():
    x, y = wave(12, 8, phase=0.1, scale=1), torch.arange(12) % 3
    w1, b1, w2, b2 = wave(16, 8, phase=1), wave(16, phase=2), wave(3, 16, phase=3), wave(3, phase=4)
    mlp = train([w1, b1, w2, b2], lambda: F.cross_entropy(F.linear(torch.tanh(F.linear(x, w1, b1)), w2, b2), y), 40, 0.2, 0.9)
    image = wave(6, 2, 8, 8, phase=0.3, scale=1)
    target = torch.arange(6) % 4
    k1, c1, k2, w, b = wave(4, 2, 3, 3, phase=1), wave(4, phase=2), wave(6, 2, 3, 3, phase=3), wave(4, 24, phase=4), wave(4, phase=5)
    gain, shift = torch.ones(4, dtype=f64), torch.zeros(4, dtype=f64)

    def network():
        h = F.conv2d(image, k1, c1, padding=1)
        h = F.max_pool2d(torch.relu(F.batch_norm(h, None, None, gain, shift, True)), 2)
        h = F.avg_pool2d(F.gelu(F.conv2d(h, k2, None, groups=2)), 2, 1, 1)[:, :, 1:, 1:]
        h = F.max_pool2d(h, 1, 1).flatten(1)[:, :24]
        return F.cross_entropy(F.linear(h, w, b), target)

    cnn = train([k1, c1, gain, shift, k2, w, b], network, 25, 0.05, 0.9)
    text = ["run,step,loss"] + [f"{n},{i},{v!r}" for n, run in (("mlp", mlp), ("cnn", cnn)) for i, v in enumerate(run)]
    (DATA / "golden_training.csv").write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    write_ops()
    write_promotion()
    write_training()
