#!/usr/bin/env python3
"""The workloads of bench_train and the rows add_4 and large/ of bench_ops in PyTorch; the same JSON lines, the same way of measuring.

  python3 torch_bench.py [--device cpu|cuda] [--threads N] [--only NAME,...] [--variant V] [--json FILE]

--variant default  PyTorch as installed
          tuned    glibc keeps freed pages (no mmap, no trim) and idle OpenMP threads sleep
          compile  tuned, and forward with loss, and the optimizer, go through torch.compile (needs a C++ compiler; slow to start)
          graph    on cuda: the whole step is captured by torch.cuda.graph and replayed

Full f32 on cuda, in convolutions too, unless --tf32 is given.

A process per workload, so that each has a peak resident size of its own. Any environment with `pip install torch` will do.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections import OrderedDict

from torch_large import LARGE, large

TUNED = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(8 << 30), "MALLOC_TOP_PAD_": str(64 << 20), "OMP_WAIT_POLICY": "PASSIVE"}


def peak_rss_mib():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def finish_on_cpu():
    pass


finish = finish_on_cpu  # waits for the device


def seconds_per_call(function, total=0.6, rounds=9, most_calls=400_000):
    """Sorted samples; the loop of measure.h."""

    def timed(calls):
        start = time.perf_counter()
        for _ in range(calls):
            function()
        finish()
        return (time.perf_counter() - start) / calls

    timed(2)
    once = timed(1)
    if once < 1e-4:
        once = timed(100)
    rounds = 5 if once > 0.1 else rounds
    calls = max(1, min(most_calls, int(total / rounds / once) + 1))
    return sorted(timed(calls) for _ in range(rounds))


class Reporter:
    def __init__(self, threads, variant, path):
        self.common = {"threads": threads, "variant": variant, "framework": "pytorch"}
        self.path = path

    def write(self, workload, phase, values):
        line = {"workload": workload, "phase": phase, **values, "peak_rss_mb": round(peak_rss_mib(), 1), **self.common}
        text = json.dumps(line)
        if self.path:
            with open(self.path, "a") as file:
                file.write(text + "\n")
        else:
            print(text, flush=True)

    def times(self, workload, phase, samples, **extra):
        def at(p):
            return samples[min(len(samples) - 1, int(p * len(samples)))]

        def short(value):
            return float(f"{value:.6g}")

        self.write(workload, phase, {"median_s": short(statistics.median(samples)), "p10": short(at(0.1)), "p90": short(at(0.9)), **extra})


def perceptron(nn, *widths):
    layers = []
    for fan_in, fan_out in zip(widths, widths[1:]):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def residual_block(nn, fan_in, fan_out, stride):
    """Two convolutions with a way around them, as in examples/models/resnet.h."""

    class ResidualBlock(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(fan_in, fan_out, 3, stride, padding=1, bias=False)
            self.norm1 = nn.BatchNorm2d(fan_out)
            self.conv2 = nn.Conv2d(fan_out, fan_out, 3, padding=1, bias=False)
            self.norm2 = nn.BatchNorm2d(fan_out)
            self.shortcut = nn.Sequential()
            if stride > 1 or fan_in != fan_out:
                self.shortcut = nn.Sequential(nn.Conv2d(fan_in, fan_out, 1, stride, bias=False), nn.BatchNorm2d(fan_out))

        def forward(self, x):
            h = self.norm1(self.conv1(x)).relu()
            return (self.norm2(self.conv2(h)) + self.shortcut(x)).relu()

    return ResidualBlock()


def resnet18(nn, classes=10):
    stem = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU())
    shapes = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2), (512, 512, 1)]
    blocks = nn.Sequential(*[residual_block(nn, *shape) for shape in shapes])
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))
    return nn.Sequential(OrderedDict(stem=stem, blocks=blocks, head=head))


def gpt(torch, tokens=512, context=128, width=256, heads=8, layers=4):
    """The net of examples/models/gpt.h. PyTorch's attention is one fused kernel here, which beats its own composition of products."""
    nn = torch.nn

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

        def forward(self, x):
            batch, length, _ = x.shape
            q, k, v = (t.reshape(batch, length, heads, -1).transpose(1, 2) for t in self.qkv(x).split(width, -1))
            seen = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            return self.out(seen.transpose(1, 2).reshape(batch, length, width))

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.attention, self.norm2 = nn.LayerNorm(width), Attention(), nn.LayerNorm(width)
            self.perceptron = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

        def forward(self, x):
            x = x + self.attention(self.norm1(x))
            return x + self.perceptron(self.norm2(x))

    class Gpt(nn.Module):
        def __init__(self):
            super().__init__()
            self.token, self.place = nn.Embedding(tokens, width), nn.Embedding(context, width)
            self.blocks = nn.Sequential(*[Block() for _ in range(layers)])
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, tokens, bias=False)

        def forward(self, index):
            x = self.token(index) + self.place(torch.arange(index.shape[1]))
            return self.head(self.norm(self.blocks(x))).flatten(0, 1)

    return Gpt()


def build(torch, name):
    """Model, inputs, targets, loss and optimizer of a training workload."""
    nn, functional = torch.nn, torch.nn.functional

    def labels(batch, classes=10):
        return torch.randint(0, classes, (batch,))

    if name.startswith("xor"):
        model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1), nn.Sigmoid())
        x, y, loss = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]]), torch.tensor([[0.0], [1], [1], [0]]), functional.mse_loss
    elif name.startswith("seed_cnn"):
        model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 2), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
        x, y, loss = torch.randn(32, 1, 8, 8), labels(32, 3), functional.cross_entropy
    elif name.startswith("mlp_large"):
        model = perceptron(nn, 512, 1024, 512, 256, 10)
        x, y, loss = torch.randn(128, 512), labels(128), functional.cross_entropy
    elif name.startswith("mnist_cnn"):
        model = nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten(),
                              nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10))
        x, y, loss = torch.randn(64, 1, 28, 28), labels(64), functional.cross_entropy
    elif name.startswith("resnet18"):
        model = resnet18(nn)
        x, y, loss = torch.randn(32, 3, 32, 32), labels(32), functional.cross_entropy
    elif name.startswith("gpt"):
        model = gpt(torch)
        x, y, loss = torch.randint(0, 512, (8, 128)), labels(8 * 128, 512), functional.cross_entropy
    else:
        features = [nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
        model = nn.Sequential(*features, *perceptron(nn, 400, 120, 84, 10))
        x, y, loss = torch.randn(64, 1, 28, 28), labels(64), functional.cross_entropy
    adam = name.endswith("adam")
    capturable = {"capturable": True} if torch.get_default_device().type == "cuda" else {}
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, **capturable) if adam else torch.optim.SGD(model.parameters(), 0.01)
    return model, x, y, loss, optimizer


def captured(torch, step, optimizer):
    """A CUDA graph of a whole step, made as PyTorch's notes on graphs say."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    optimizer.zero_grad(set_to_none=True)
    with torch.cuda.graph(graph):
        step()
    return graph


def use_device(torch, options):
    global finish
    if options.device == "cuda":
        torch.set_default_device("cuda")
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = options.tf32
        finish = torch.cuda.synchronize


def train(torch, name, report):
    torch.manual_seed(1)
    model, x, y, loss, optimizer = build(torch, name)

    def objective():
        return loss(model(x), y)

    forward, update = objective, optimizer.step
    if report.common["variant"] == "compile":
        forward, update = torch.compile(objective), torch.compile(optimizer.step)

    def step():
        optimizer.zero_grad(set_to_none=True)
        forward().backward()
        update()

    def evaluate():
        with torch.no_grad():
            model(x)

    for _ in range(5):
        step()
    if report.common["variant"] == "graph":
        report.times(name, "step", seconds_per_call(captured(torch, step, optimizer).replay, total=1.2))
        return
    samples = seconds_per_call(step, total=1.2)
    report.times(name, "step", samples, params=sum(p.numel() for p in model.parameters()))
    report.times(name, "forward_eval", seconds_per_call(evaluate))
    report.times(name, "forward+loss", seconds_per_call(objective))
    backward = []
    for _ in range(max(5, min(400, int(0.6 / samples[0])))):
        value = objective()
        finish()
        start = time.perf_counter()
        value.backward()
        finish()
        backward.append(time.perf_counter() - start)
    report.times(name, "backward", sorted(backward))
    report.times(name, "optimizer", seconds_per_call(optimizer.step))


def add_4(torch, report):
    a, b = torch.randn(4), torch.randn(4)
    with torch.no_grad():
        report.times("add_4", "op", seconds_per_call(lambda: a + b))


def add_4_grad(torch, report):
    a, b = torch.randn(4, requires_grad=True), torch.randn(4)
    report.times("add_4_grad", "op", seconds_per_call(lambda: a + b))


TRAINING = ["xor_sgd", "xor_adam", "seed_cnn_b32_sgd", "mlp_large_b128_sgd", "mlp_large_b128_adam", "lenet5_b64_sgd",
            "mnist_cnn_b64_sgd", "resnet18_cifar_b32_sgd", "gpt_4l_d256_t128_b8_adam"]
OPS = {"add_4": add_4, "add_4_grad": add_4_grad}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="workloads whose names start with one of these")
    parser.add_argument("--variant", choices=["default", "tuned", "compile", "graph"], default="default")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--tf32", action="store_true", help="on cuda: products and convolutions in TF32")
    parser.add_argument("--json", default="", help="write the lines to this file")
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        import torch

        torch.set_num_threads(options.threads)
        use_device(torch, options)
        report = Reporter(options.threads, options.variant, options.json)
        if options.one in OPS:
            OPS[options.one](torch, report)
        elif options.one in LARGE:
            large(torch, options.one, report, seconds_per_call)
        else:
            train(torch, options.one, report)
        return 0
    if options.json:
        open(options.json, "w").close()
    environment = dict(os.environ, OMP_NUM_THREADS=str(options.threads), **(TUNED if options.variant != "default" else {}))
    failed = 0
    for name in TRAINING + list(OPS) + list(LARGE):
        if not options.only or any(prefix and name.startswith(prefix) for prefix in options.only.split(",")):
            command = [sys.executable, __file__, "--one", name, "--threads", str(options.threads), "--variant", options.variant, "--json", options.json,
                       "--device", options.device] + ["--tf32"] * options.tf32
            failed |= subprocess.run(command, env=environment).returncode
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
