// cat, stack and split.
#include <tinytorch/ops/create.h>
#include <tinytorch/ops/view.h>

#include "core/autograd/saved_tensor.h"
#include "core/ops/pointwise.h"

namespace tinytorch {

namespace {

// All in one dtype, on one device, equal but for `dim`.
std::vector<Tensor> joinable(const std::vector<Tensor>& tensors, int dim) {
  Dtype d = tensors[0].dtype();
  for (const Tensor& t : tensors) {
    check_defined("cat", t);
    check_device("cat", tensors[0], t);
    d = promote(d, t.dtype());
    bool fits = t.rank() == tensors[0].rank();
    for (int i = 0; fits && i < t.rank(); ++i)
      fits = i == dim || view_of(t).shape[i] == view_of(tensors[0]).shape[i];
    if (!fits)
      throw ShapeError("[cat] " + show(view_of(tensors[0])) + " and " + show(view_of(t)) +
                       " along dim " + std::to_string(dim) +
                       ", needed: equal sizes in every other dim");
  }
  std::vector<Tensor> out;
  for (const Tensor& t : tensors) out.push_back(t.to(d));
  return out;
}

}  // namespace

Tensor cat(const std::vector<Tensor>& tensors, int dim) {
  if (tensors.empty()) throw ValueError("[cat] no tensors, needed: at least one");
  check_defined("cat", tensors[0]);
  if (tensors[0].rank() == 0)
    throw ShapeError("[cat] tensors of rank 0, needed: at least one dim; use stack()");
  const int d = wrap_dim("cat", dim, view_of(tensors[0]));
  const std::vector<Tensor> parts = joinable(tensors, d);
  Shape shape = shape_of(parts[0]);
  shape[d] = 0;
  bool wanted = false;
  std::vector<int64_t> sizes;
  for (const Tensor& t : parts) {
    sizes.push_back(view_of(t).shape[d]);
    shape[d] += sizes.back();
    wanted |= recording(t);
  }
  Tensor out = make(device_of(parts[0]), view_of(parts[0]).dtype, shape);
  {
    NoGrad guard;
    int64_t at = 0;
    for (const Tensor& t : parts) {
      const int64_t n = view_of(t).shape[d];
      const Tensor place = out.narrow(d, at, n);
      const Merged<2> m(view_of(place), use(t));
      launch<rows::copy>("cat", device_of(out), m[0], m[1]);
      at += n;
    }
  }
  if (!wanted) return out;
  std::vector<Tensor> outputs{std::move(out)};
  std::vector<const Tensor*> inputs;
  for (const Tensor& t : parts) inputs.push_back(&t);
  attach_list(outputs, "cat", inputs, [sizes, d](const Tensor* grads_out, Needs, Tensor* grads_in) {
    int64_t at = 0;
    for (size_t i = 0; i < sizes.size(); ++i) {
      grads_in[i] = grads_out[0].narrow(d, at, sizes[i]);
      at += sizes[i];
    }
  });
  return outputs[0];
}

Tensor stack(const std::vector<Tensor>& tensors, int dim) {
  if (tensors.empty()) throw ValueError("[stack] no tensors, needed: at least one");
  std::vector<Tensor> rows;
  for (const Tensor& t : tensors) {
    check_defined("stack", t);
    if (!(t.shape() == tensors[0].shape()))
      throw ShapeError("[stack] " + show(view_of(tensors[0])) + " and " + show(view_of(t)) +
                       ", needed: equal shapes");
    rows.push_back(t.unsqueeze(dim));
  }
  return cat(rows, dim < 0 ? dim + tensors[0].rank() + 1 : dim);
}

std::vector<Tensor> split(const Tensor& a, const std::vector<int64_t>& sizes, int dim) {
  check_defined("split", a);
  if (a.rank() == 0) throw ShapeError("[split] " + show(view_of(a)) + ", needed: at least one dim");
  const int d = wrap_dim("split", dim, view_of(a));
  int64_t total = 0;
  for (int64_t n : sizes) {
    if (n < 0) throw ShapeError("[split] size " + std::to_string(n) + ", needed: at least 0");
    total += n;
  }
  if (total != view_of(a).shape[d])
    throw ShapeError("[split] " + show(view_of(a)) + " along dim " + std::to_string(d) +
                     " into sizes that add up to " + std::to_string(total) +
                     ", needed: " + std::to_string(view_of(a).shape[d]));
  std::vector<Tensor> parts;
  {
    NoGrad guard;
    int64_t at = 0;
    for (int64_t n : sizes) {
      parts.push_back(a.narrow(d, at, n));
      at += n;
    }
  }
  if (!recording(a)) return parts;
  const Dtype dtype = a.dtype();
  const Device device = a.device();
  attach_list(parts, "split", {&a},
              [sizes, d, before = shape_of(a), dtype, device](const Tensor* grads_out, Needs,
                                                              Tensor* grads_in) {
                std::vector<Tensor> pieces;  // a part that got no gradient counts as zeros
                for (size_t i = 0; i < sizes.size(); ++i) {
                  Shape shape = before;
                  shape[d] = sizes[i];
                  pieces.push_back(grads_out[i].defined()
                                       ? grads_out[i]
                                       : zeros(shape, {.dtype = dtype, .device = device}));
                }
                grads_in[0] = cat(pieces, d);
              });
  return parts;
}

std::vector<Tensor> split(const Tensor& a, int64_t size, int dim) {
  check_defined("split", a);
  if (size < 1) throw ShapeError("[split] size " + std::to_string(size) + ", needed: at least 1");
  std::vector<int64_t> sizes;
  for (int64_t left = a.rank() ? view_of(a).shape[wrap_dim("split", dim, view_of(a))] : 0; left > 0;
       left -= size)
    sizes.push_back(std::min(size, left));
  if (sizes.empty()) sizes.push_back(0);
  return split(a, sizes, dim);
}
std::vector<Tensor> Tensor::split(int64_t size, int dim) const {
  return tinytorch::split(*this, size, dim);
}

}  // namespace tinytorch
