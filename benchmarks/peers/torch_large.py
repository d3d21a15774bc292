"""The rows large/... of bench_ops in PyTorch: {workload: [(phase, make)]}, where make(torch) prepares inputs and returns the call to time."""

ELEMENTS, ROWS, COLUMNS = 10_000_000, 4096, 1024


def apply(function, *inputs):
    return lambda: function(*inputs)


def unary(name):
    return [("op", lambda torch: apply(getattr(torch, name), torch.randn(ELEMENTS)))]


def on_matrix(function):
    return ("op", lambda torch: apply(function, torch.randn(ROWS, COLUMNS)))


def on_image(function):
    return ("op", lambda torch: apply(lambda x: function(torch, x), torch.randn(8, 64, 56, 56)))


def backward(shape, function, *widths):
    """Gradients of function(torch, x, weights...) with respect to all, from a graph that is kept."""

    def make(torch):
        inputs = [torch.randn(*shape, requires_grad=True)] + [torch.randn(n, requires_grad=True) for n in widths]
        out = function(torch, *inputs)
        g = torch.randn_like(out)
        return lambda: torch.autograd.grad(out, inputs, g, retain_graph=True)

    return ("backward", make)


def gelu(approximate):
    def function(torch, x):
        return torch.nn.functional.gelu(x, approximate=approximate)

    return [("op", lambda torch: apply(function, torch, torch.randn(ELEMENTS))), backward((ELEMENTS,), function)]


def layer_norm(torch, x, weight, bias):
    return torch.nn.functional.layer_norm(x, (COLUMNS,), weight, bias)


def batch_norm(torch, x, weight, bias, mean=None, variance=None):
    return torch.nn.functional.batch_norm(x, mean, variance, weight, bias, training=True)


def batch_norm_forward(torch):
    return apply(batch_norm, torch, torch.randn(8, 64, 56, 56), torch.randn(64), torch.randn(64), torch.zeros(64), torch.ones(64))


def cross_entropy(torch):
    x, target = torch.randn(ROWS, COLUMNS, requires_grad=True), torch.randint(0, COLUMNS, (ROWS,))
    return lambda: torch.autograd.grad(torch.nn.functional.cross_entropy(x, target), x)


def max_pool(torch, x):
    return torch.nn.functional.max_pool2d(x, 2)


def average_pool(torch, x):
    return torch.nn.functional.avg_pool2d(x, 2)


def optimizer(name, **options):
    def make(torch):
        widths, parameters = [512, 1024, 512, 256, 10], []
        for fan_in, fan_out in zip(widths, widths[1:]):
            parameters += [torch.randn(fan_out, fan_in, requires_grad=True), torch.randn(fan_out, requires_grad=True)]
        for p in parameters:
            p.grad = torch.full_like(p, 1e-3)
        return getattr(torch.optim, name)(parameters, lr=1e-3, **options).step

    return [("step", make)]


def convolution(direction, batch, fan_in, fan_out, kernel, size, padding):
    def make(torch):
        x, w = torch.randn(batch, fan_in, size, size), torch.randn(fan_out, fan_in, kernel, kernel)
        g = torch.nn.functional.conv2d(x, w, padding=padding)
        if direction == "forward":
            return lambda: torch.nn.functional.conv2d(x, w, padding=padding)
        if direction == "d_data":
            return lambda: torch.nn.grad.conv2d_input(x.shape, w, g, padding=padding)
        return lambda: torch.nn.grad.conv2d_weight(x, w.shape, g, padding=padding)

    return [("op", make)]


CONVOLUTIONS = {
    "conv_3x3_64_56": (8, 64, 64, 3, 56, 1),
    "conv_3x3_512_4": (32, 512, 512, 3, 4, 1),
    "conv_1x1_64_256": (8, 64, 256, 1, 56, 0),
    "conv_5x5_1_6": (64, 1, 6, 5, 28, 2),
    "conv_3x3_1_8": (32, 1, 8, 3, 8, 0),
}
ROWS_OF = {
    "add": [("op", lambda torch: apply(torch.add, torch.randn(ELEMENTS), torch.randn(ELEMENTS)))],
    **{name: unary(name) for name in ["exp", "tanh", "sigmoid", "erf", "relu"]},
    "log": [("op", lambda torch: apply(torch.log, torch.rand(ELEMENTS) * 8.9 + 0.1))],
    "gelu_tanh": gelu("tanh"),
    "gelu_erf": gelu("none"),
    "dropout": [("op", lambda torch: apply(torch.nn.functional.dropout, torch.randn(ELEMENTS)))],
    "randn": [("op", lambda torch: apply(torch.randn, ELEMENTS))],
    "rand": [("op", lambda torch: apply(torch.rand, ELEMENTS))],
    "softmax": [on_matrix(lambda x: x.softmax(1)), backward((ROWS, COLUMNS), lambda torch, x: x.softmax(1))],
    "log_softmax": [on_matrix(lambda x: x.log_softmax(1)), backward((ROWS, COLUMNS), lambda torch, x: x.log_softmax(1))],
    "layer_norm": [
        ("op", lambda torch: apply(layer_norm, torch, torch.randn(ROWS, COLUMNS), torch.randn(COLUMNS), torch.randn(COLUMNS))),
        backward((ROWS, COLUMNS), layer_norm, COLUMNS, COLUMNS),
    ],
    "cross_entropy": [("step", cross_entropy)],
    "sum_all": [on_matrix(lambda x: x.sum())],
    "sum_dim0": [on_matrix(lambda x: x.sum(0))],
    "sum_dim1": [on_matrix(lambda x: x.sum(1))],
    "amax_dim0": [on_matrix(lambda x: x.amax(0))],
    "amax_dim1": [on_matrix(lambda x: x.amax(1))],
    "var_dim0": [on_matrix(lambda x: x.var(0))],
    "var_dim1": [on_matrix(lambda x: x.var(1))],
    "argmax_dim0": [on_matrix(lambda x: x.argmax(0))],
    "argmax_dim1": [on_matrix(lambda x: x.argmax(1))],
    "copy": [on_matrix(lambda x: x.clone())],
    "transpose": [("op", lambda torch: apply(lambda x: x.t().contiguous(), torch.randn(3000, 3000)))],
    "every_second": [on_matrix(lambda x: x[:, ::2].contiguous())],
    "heads": [("op", lambda torch: apply(lambda x: x.transpose(1, 2).contiguous(), torch.randn(32, 128, 16, 64)))],
    "to_channels_last": [on_image(lambda torch, x: x.permute(0, 2, 3, 1).contiguous())],
    "embedding": [("op", lambda torch: apply(torch.embedding, torch.randn(8192, COLUMNS), torch.randint(0, 8192, (ROWS,))))],
    "index_add": [("op", lambda torch: apply(torch.index_add, torch.randn(8192, COLUMNS), 0, torch.randint(0, 8192, (ROWS,)), torch.randn(ROWS, COLUMNS)))],
    "max_pool": [on_image(max_pool), backward((8, 64, 56, 56), max_pool)],
    "avg_pool": [on_image(average_pool), backward((8, 64, 56, 56), average_pool)],
    "batch_norm": [("op", batch_norm_forward), backward((8, 64, 56, 56), batch_norm, 64, 64)],
    "adam": optimizer("Adam"),
    "sgd_momentum": optimizer("SGD", momentum=0.9),
    **{f"{name}/{direction}": convolution(direction, *shape) for name, shape in CONVOLUTIONS.items() for direction in ["forward", "d_data", "d_weight"]},
}
LARGE = {"large/" + name: rows for name, rows in ROWS_OF.items()}


def large(torch, name, report, seconds_per_call):
    for phase, make in LARGE[name]:
        with torch.set_grad_enabled(phase != "op"):
            report.times(name, phase, seconds_per_call(make(torch)))
