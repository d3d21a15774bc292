#!/usr/bin/env python3
"""Makes the golden files of the nn, optim, data and io tests in tests/data, with PyTorch and Python's safetensors.

usage: make_nn_golden.py [FOLDER]     needs: pip install torch numpy safetensors
Files: nn_optim (trajectories of every option), nn_mlp and nn_cnn (whole training runs), nn_init.csv (initial statistics),
nn_repr.txt (a printed model), io_python.safetensors (all dtypes), data_idx.gz. Everything is seeded; one thread.
"""
import gzip
import os
import re
import struct
import sys

import torch
from safetensors.torch import save_file
from torch import nn

FOLDER = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", "data")


def path(name):
    return os.path.join(FOLDER, name)


def save(name, tensors, metadata=None):
    save_file({k: v.detach().contiguous().clone() for k, v in tensors.items()}, path(name), metadata)
    os.chmod(path(name), 0o644)


OPTIMIZERS = {  # name: class, options. The test has the same table.
    "sgd": (torch.optim.SGD, dict(lr=0.1)),
    "sgd_decay": (torch.optim.SGD, dict(lr=0.1, weight_decay=0.05)),
    "sgd_momentum": (torch.optim.SGD, dict(lr=0.1, momentum=0.9)),
    "sgd_dampening": (torch.optim.SGD, dict(lr=0.1, momentum=0.8, dampening=0.3)),
    "sgd_nesterov": (torch.optim.SGD, dict(lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01)),
    "sgd_maximize": (torch.optim.SGD, dict(lr=0.02, momentum=0.5, maximize=True, weight_decay=0.1)),
    "adam": (torch.optim.Adam, dict(lr=0.1)),
    "adam_options": (torch.optim.Adam, dict(lr=0.05, betas=(0.7, 0.95), eps=1e-3, weight_decay=0.1)),
    "adam_maximize": (torch.optim.Adam, dict(lr=0.02, maximize=True, weight_decay=0.1)),
    "adamw": (torch.optim.AdamW, dict(lr=0.1)),
    "adamw_options": (torch.optim.AdamW, dict(lr=0.05, betas=(0.7, 0.95), eps=1e-3, weight_decay=0.3)),
    "adamw_maximize": (torch.optim.AdamW, dict(lr=0.02, maximize=True)),
}
STEPS = 12


def optimizers():
    """Two parameters in f64 on a quadratic; q gets gradients from the fourth step on only; the rate falls after the eighth."""
    torch.manual_seed(1)
    p0, q0 = torch.randn(2, 3, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    curvature = torch.rand(2, 3, dtype=torch.float64) + 0.5
    out = {"p0": p0, "q0": q0, "curvature": curvature}
    for name, (make, options) in OPTIMIZERS.items():
        p, q = p0.clone().requires_grad_(), q0.clone().requires_grad_()
        optimizer = make([p, q], **options)
        ps, qs = [], []
        for step in range(STEPS):
            if step == 8:
                for group in optimizer.param_groups:
                    group["lr"] *= 0.5
            optimizer.zero_grad()
            loss = (curvature * (p - 1) ** 2).sum()
            if step >= 3:
                loss = loss + ((q + 2) ** 2).sum()
            loss.backward()
            optimizer.step()
            ps.append(p.detach().clone())
            qs.append(q.detach().clone())
        out[name + ".p"], out[name + ".q"] = torch.stack(ps), torch.stack(qs)
    p, q = p0.clone().requires_grad_(), q0.clone().requires_grad_()
    ((curvature * p**2).sum() + (3 * q).sum()).backward()
    out["clip.norm"] = nn.utils.clip_grad_norm_([p, q], 1.5)
    out["clip.p"], out["clip.q"] = p.grad, q.grad
    save("nn_optim.safetensors", out)


def run(net, optimizer, loss_function, x, y, batch, epochs):
    losses = []
    for _ in range(epochs):
        for at in range(0, len(x), batch):
            optimizer.zero_grad()
            loss = loss_function(net(x[at : at + batch]), y[at : at + batch])
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
    return torch.stack(losses)


def weights(prefix, net):
    return {prefix + k: v.clone() for k, v in net.state_dict().items()}


def mlp():
    torch.manual_seed(2)
    net = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, 4))
    x = torch.randn(64, 10)
    y = (x @ torch.randn(10, 4)).argmax(1)
    start = {k: v.clone() for k, v in net.state_dict().items()}
    out = {"x": x, "y": y, **weights("start.", net)}
    runs = {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-3),
        "adam": lambda p: torch.optim.Adam(p, lr=0.01),
        "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    }
    for name, make in runs.items():
        net.load_state_dict(start)
        out["losses." + name] = run(net, make(net.parameters()), nn.CrossEntropyLoss(), x, y, 16, 10)
        out |= weights(name + ".", net)
    save("nn_mlp.safetensors", out)


def cnn():
    torch.manual_seed(3)
    net = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, (3, 2), stride=(2, 1), groups=2), nn.GELU(), nn.AvgPool2d((1, 3), stride=1),
        nn.Flatten(), nn.Linear(8, 3))
    x = torch.randn(48, 2, 8, 8)
    y = (x[:, 0, :4].mean((1, 2)) > 0).long() + (x[:, 1, :, 4:].mean((1, 2)) > 0).long()
    out = {"x": x, "y": y, **weights("start.", net)}
    out["losses"] = run(net, torch.optim.Adam(net.parameters(), lr=0.005), nn.CrossEntropyLoss(), x, y, 16, 8)
    out |= weights("final.", net)
    net.eval()
    out["logits"] = net(x)
    save("nn_cnn.safetensors", out)


def initial_values():
    torch.manual_seed(4)
    layers = {
        "linear": nn.Linear(400, 300), "conv2d": nn.Conv2d(32, 64, 5, groups=2), "embedding": nn.Embedding(500, 100),
        "batch_norm": nn.BatchNorm2d(64), "layer_norm": nn.LayerNorm((4, 6)),
    }
    rows = [(layer, name, v) for layer, m in layers.items() for name, v in m.named_parameters()]
    shape = (250, 20, 5, 4)
    functions = {
        "kaiming_uniform": lambda t: nn.init.kaiming_uniform_(t, nonlinearity="relu"),
        "kaiming_normal": lambda t: nn.init.kaiming_normal_(t, mode="fan_out", nonlinearity="tanh"),
        "xavier_uniform": nn.init.xavier_uniform_,
        "xavier_normal": lambda t: nn.init.xavier_normal_(t, gain=2.0),
        "normal": lambda t: nn.init.normal_(t, 1.0, 0.5),
        "uniform": lambda t: nn.init.uniform_(t, -1.0, 3.0),
    }
    rows += [("init", name, f(torch.empty(shape))) for name, f in functions.items()]
    with open(path("nn_init.csv"), "w", encoding="utf-8") as f:
        f.write("layer,tensor,count,min,max,mean,std\n")
        for layer, name, v in rows:
            v = v.detach().double()
            figures = (v.min(), v.max(), v.mean(), v.std(unbiased=False))
            f.write(f"{layer},{name},{v.numel()}," + ",".join(f"{float(x):.6g}" for x in figures) + "\n")


def printed_model():
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, (3, 2), stride=2, padding=(1, 0), dilation=2, groups=4, bias=False),
        nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.MaxPool2d((3, 2), stride=(2, 1), padding=1),
        nn.AvgPool2d(2, stride=1), nn.Flatten(), nn.Dropout(0.25),
        nn.Sequential(nn.Linear(64, 3, bias=False), nn.Tanh(), nn.Sigmoid()), nn.Embedding(10, 4), nn.Softmax(dim=-1),
        nn.LogSoftmax(dim=1), nn.BatchNorm1d(4, eps=1e-3, momentum=0.2, affine=False),
        nn.AdaptiveAvgPool2d(1), nn.AdaptiveAvgPool2d((3, 2)), nn.LayerNorm(4),
        nn.LayerNorm((2, 3), eps=1e-3, elementwise_affine=False), nn.LayerNorm(4, bias=False))
    with open(path("nn_repr.txt"), "w", encoding="utf-8") as f:
        f.write(re.sub(r"\b(affine=\w+), bias=\w+", r"\1", str(net)) + "\n")  # newer versions add bias= to BatchNorm


def python_safetensors():
    values = torch.tensor([[0.0, -1.5, 2.25], [65504.0, 1e-3, -0.0]])
    save("io_python.safetensors", {
        "f32": values, "f64": values.double() / 3, "f16": values.half(), "bf16": values.bfloat16(),
        "i64": torch.tensor([-(2**63), 2**63 - 1, 0]), "i32": torch.tensor([-(2**31), 2**31 - 1], dtype=torch.int32),
        "u8": torch.arange(5, dtype=torch.uint8), "bool": torch.tensor([True, False, True]),
        "scalar": torch.tensor(3.5), "empty": torch.zeros(0, 3), "näme \"quoted\"": torch.ones(1),
    }, {"note": "ünïcode\n"})


def idx_file():
    content = bytes([0, 0, 8, 3]) + struct.pack(">III", 2, 3, 4) + bytes(range(24))
    with open(path("data_idx.gz"), "wb") as f:
        f.write(gzip.compress(content, mtime=0))


def main():
    torch.set_num_threads(1)
    for make in (optimizers, mlp, cnn, initial_values, printed_model, python_safetensors, idx_file):
        make()


if __name__ == "__main__":
    main()
