// Wraps each row that the reference backend has: checks that its views lie in live blocks of the
// device, copies all arguments by value, since the caller's are gone when the kernel runs, and puts
// the call of the reference kernel into the stream's queue.
#include "tests/late/late_kernels.h"

#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "tests/late/late_stream.h"

namespace tinytorch::reference {
const KernelTable& kernel_table();  // kernels/reference, whose objects are part of this plugin
}

namespace tinytorch::late {

namespace {

// The view as a kernel sees it: with the real address. Throws if it leaves its block.
View real_view(const View& view, const LateStream& stream, const char* op) {
  View real = view;
  if (view.numel == 0) return real;
  int64_t first = 0, last = view.numel - 1;
  if (!view.contiguous) {
    last = 0;
    for (int i = 0; i < view.rank; ++i)
      (view.strides[i] < 0 ? first : last) += (view.shape[i] - 1) * view.strides[i];
  }
  const auto size = static_cast<int64_t>(size_of(view.dtype));
  const char* begin = view.as<char>() + first * size;
  real.data = stream.allocator().real(begin, (last - first + 1) * size, op) - first * size;
  return real;
}

// An argument of a kernel, owned until the kernel runs. Parameter structs are plain data.
template <class T>
class Owned {
 public:
  using Value = std::remove_cvref_t<T>;
  static_assert(std::is_trivially_copyable_v<Value> && !std::is_pointer_v<Value>,
                "say below how to keep such an argument");
  Owned(const Value& value, const LateStream&, const char*) : value_(value) {}
  const Value& get() { return value_; }

 private:
  Value value_;
};

template <>
class Owned<const View&> {
 public:
  Owned(const View& view, const LateStream& stream, const char* op)
      : view_(real_view(view, stream, op)) {}
  const View& get() { return view_; }

 private:
  View view_;
};

template <>
class Owned<const View*> {
 public:
  Owned(const View* view, const LateStream& stream, const char* op) {
    if (view) view_ = real_view(*view, stream, op);
  }
  const View* get() { return view_ ? &*view_ : nullptr; }

 private:
  std::optional<View> view_;
};

// Moving it keeps `pointers_` right: the elements of a moved vector stay where they are.
template <>
class Owned<const ViewList&> {
 public:
  Owned(const ViewList& list, const LateStream& stream, const char* op) {
    for (int i = 0; i < list.count; ++i) views_.push_back(real_view(list[i], stream, op));
    for (const View& view : views_) pointers_.push_back(&view);
  }
  Owned(Owned&&) = default;
  ViewList get() { return {static_cast<int>(pointers_.size()), pointers_.data()}; }

 private:
  std::vector<View> views_;
  std::vector<const View*> pointers_;
};

template <auto kRow>
struct Later;

template <class... Args, void (*KernelTable::*kRow)(KernelContext&, Args...)>
struct Later<kRow> {
  class Call final : public Item {
   public:
    Call(const KernelContext& context, const LateStream& stream, Args... args)
        : context_(context), args_(Owned<Args>(args, stream, context.op)...) {}
    void run() override {
      const auto kernel = reference::kernel_table().*kRow;
      std::apply([&](auto&... args) { kernel(context_, args.get()...); }, args_);
    }

   private:
    KernelContext context_;  // as it was at the launch: with the name of the op
    std::tuple<Owned<Args>...> args_;
  };

  static void launch(KernelContext& context, Args... args) {
    auto& stream = *static_cast<LateStream*>(context.native);
    const std::lock_guard lock(scheduler().mutex);
    stream.push(new Call(context, stream, args...));
  }
};

KernelTable wrap(const KernelTable& reference) {
  KernelTable table;
#define TT_KERNEL(name, layout, need, args, flops, bytes) \
  if (reference.name) table.name = &Later<&KernelTable::name>::launch;
#include <tinytorch/backend/kernels.def>
#undef TT_KERNEL
  return table;
}

}  // namespace

const KernelTable& kernel_table() {
  static const KernelTable kTable = wrap(reference::kernel_table());
  return kTable;
}

}  // namespace tinytorch::late
