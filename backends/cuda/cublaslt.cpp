// Matrix products of the product by cuBLASLt, which is opened at the first one. The library is
// column-major: the row-major C = A B is asked for as C^T = B^T A^T, so its first operand is our B.
// What the heuristic chose for a shape is kept, as are the descriptors: a call costs one look-up.
//
// Bits are a function of the shape: the first choice of the heuristic, for a workspace
// (most_workspace) and for alignments that follow from the shape (Alignments). Matrices that lie
// less well, as columns cut out of wider ones may, get a choice for elements that are aligned to
// their own size only.
#include <cublasLt.h>
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>
#include <string>
#include <unordered_map>

#include "backends/cuda/capture_mode.h"
#include "backends/cuda/nvidia_library.h"
#include "backends/cuda/rt.h"

namespace tinytorch::cuda::rt {
namespace {

constexpr char kSoname[] = "libcublasLt.so.13";
constexpr size_t kMostPlans = 4096;
constexpr int kMostDevices = 64;
constexpr uint32_t kAlignment = 16;

// The functions used, under their own names. The Init functions of the header are inline wrappers
// of these.
struct Library {
  decltype(&::cublasLtCreate) create;
  decltype(&::cublasLtGetStatusName) status_name;
  decltype(&::cublasLtMatmul) matmul;
  decltype(&::cublasLtMatmulAlgoGetHeuristic) heuristic;
  decltype(&::cublasLtMatmulDescInit_internal) init_desc;
  decltype(&::cublasLtMatmulDescSetAttribute) set_desc;
  decltype(&::cublasLtMatrixLayoutInit_internal) init_layout;
  decltype(&::cublasLtMatrixLayoutSetAttribute) set_layout;
  decltype(&::cublasLtMatmulPreferenceInit_internal) init_preference;
  decltype(&::cublasLtMatmulPreferenceSetAttribute) set_preference;
};

struct Opened {
  Library table{};
  std::string failure;  // empty: usable
};

template <class F>
void resolve(void* library, const char* name, F* function, std::string* failure) {
  *function = reinterpret_cast<F>(dlsym(library, name));
  if (!*function && failure->empty()) *failure = std::string(kSoname) + " has no function " + name;
}

Opened* open_library() {
  auto* opened = new Opened;  // never destroyed, as the library is never closed
  void* library = open_nvidia_library(kSoname, &opened->failure);
  if (!library) return opened;
  opened->failure.clear();
  Library& t = opened->table;
  std::string* failure = &opened->failure;
  resolve(library, "cublasLtCreate", &t.create, failure);
  resolve(library, "cublasLtGetStatusName", &t.status_name, failure);
  resolve(library, "cublasLtMatmul", &t.matmul, failure);
  resolve(library, "cublasLtMatmulAlgoGetHeuristic", &t.heuristic, failure);
  resolve(library, "cublasLtMatmulDescInit_internal", &t.init_desc, failure);
  resolve(library, "cublasLtMatmulDescSetAttribute", &t.set_desc, failure);
  resolve(library, "cublasLtMatrixLayoutInit_internal", &t.init_layout, failure);
  resolve(library, "cublasLtMatrixLayoutSetAttribute", &t.set_layout, failure);
  resolve(library, "cublasLtMatmulPreferenceInit_internal", &t.init_preference, failure);
  resolve(library, "cublasLtMatmulPreferenceSetAttribute", &t.set_preference, failure);
  return opened;
}

const Opened& library() {
  static const Opened* opened = open_library();
  return *opened;
}

// ---- plans

// What a plan depends on. Compared and hashed as words: no padding.
struct Key {
  int64_t device, kind;  // dtype, transposes, epilogue, precision, alignment
  int64_t m, n, k, batch, lda, ldb, ldc, stride_a, stride_b, stride_c;
  bool operator==(const Key& o) const { return std::memcmp(this, &o, sizeof o) == 0; }
};
static_assert(std::has_unique_object_representations_v<Key>);

struct KeyHash {
  size_t operator()(const Key& key) const {
    uint64_t words[sizeof(Key) / 8], h = 0x9e3779b97f4a7c15;
    std::memcpy(words, &key, sizeof key);
    for (const uint64_t w : words) h = (h ^ w) * 0xff51afd7ed558ccd, h ^= h >> 32;
    return h;
  }
};

struct Plan {
  cublasLtMatmulDescOpaque_t desc;
  cublasLtMatrixLayoutOpaque_t a, b, c;  // of the library: a is our B
  cublasLtMatmulAlgo_t algorithm;
  size_t workspace_bytes;
  bool bias_grad;
};

int64_t element_bytes(const GemmDesc& d) { return d.dtype == Dtype::f64 ? 8 : 4; }

// The largest power of two, at most 16, that divides the start of every row.
uint32_t alignment_of(const GemmDesc& d, int64_t ld, int64_t stride) {
  const int64_t steps = (ld | (d.batch > 1 ? stride : 0)) * element_bytes(d);
  uint32_t alignment = kAlignment;
  while (steps % alignment != 0) alignment /= 2;
  return alignment;
}

// What the choice of the algorithm may take for granted of the matrices. Rows of a matrix that was
// allocated, and parts of it that begin at a row, are always aligned as `usual` says.
struct Alignments {
  uint32_t a, b, c;
  bool usual;
};
Alignments alignments_of(const GemmDesc& d) {
  const auto element = static_cast<uint32_t>(element_bytes(d));
  Alignments all{alignment_of(d, d.lda, d.stride_a), alignment_of(d, d.ldb, d.stride_b),
                 alignment_of(d, d.ldc, d.stride_c), true};
  const auto lies_on = [](const void* p, uint32_t alignment) {
    return reinterpret_cast<uintptr_t>(p) % alignment == 0;
  };
  if (lies_on(d.a, all.a) && lies_on(d.b, all.b) && lies_on(d.c, all.c) &&
      lies_on(d.bias, kAlignment) && lies_on(d.bias_grad, kAlignment))
    return all;
  return {element, element, element, false};
}

Key key_of(const GemmDesc& d, bool tf32, int device) {
  int64_t kind = 0;
  for (const bool bit :
       {d.dtype == Dtype::f64, d.ta, d.tb, d.bias != nullptr, d.bias_grad != nullptr,
        d.act == Activation::relu, tf32, alignments_of(d).usual})
    kind = 2 * kind + bit;
  return {device, kind,  d.m,   d.n,        d.k,        d.batch,
          d.lda,  d.ldb, d.ldc, d.stride_a, d.stride_b, d.stride_c};
}

// Our A is the library's B.
cublasLtEpilogue_t epilogue_of(const GemmDesc& d) {
  if (d.bias_grad) return CUBLASLT_EPILOGUE_BGRADB;
  const bool relu = d.act == Activation::relu;
  if (d.bias) return relu ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS;
  return relu ? CUBLASLT_EPILOGUE_RELU : CUBLASLT_EPILOGUE_DEFAULT;
}

// Collects the first failure of a row of calls.
class Calls {
 public:
  void operator()(cublasStatus_t s) {
    if (status_ == CUBLAS_STATUS_SUCCESS) status_ = s;
  }
  cublasStatus_t status() const { return status_; }

 private:
  cublasStatus_t status_ = CUBLAS_STATUS_SUCCESS;
};

// The column-major view of a matrix that is stored with `rows` rows of `columns` elements.
void lay_out(Calls& calls, const GemmDesc& d, cublasLtMatrixLayoutOpaque_t* layout, int64_t rows,
             int64_t columns, int64_t ld, int64_t stride) {
  const Library& lt = library().table;
  const cudaDataType type = d.dtype == Dtype::f64 ? CUDA_R_64F : CUDA_R_32F;
  ld = ld < columns ? columns : ld;  // of a single row it means nothing
  calls(lt.init_layout(layout, sizeof *layout, type, static_cast<uint64_t>(columns),
                       static_cast<uint64_t>(rows), ld));
  if (d.batch == 1) return;
  const auto batch = static_cast<int32_t>(d.batch);
  calls(lt.set_layout(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch, sizeof batch));
  calls(lt.set_layout(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride));
}

void set_desc(Calls& calls, const GemmDesc& d, bool tf32, Plan* plan) {
  const Library& lt = library().table;
  const bool f64 = d.dtype == Dtype::f64;
  const cublasComputeType_t compute =
      f64 ? CUBLAS_COMPUTE_64F : (tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F);
  calls(lt.init_desc(&plan->desc, sizeof plan->desc, compute, f64 ? CUDA_R_64F : CUDA_R_32F));
  const int32_t first = d.tb ? CUBLAS_OP_T : CUBLAS_OP_N, second = d.ta ? CUBLAS_OP_T : CUBLAS_OP_N;
  calls(lt.set_desc(&plan->desc, CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first));
  calls(lt.set_desc(&plan->desc, CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second));
  const auto epilogue = static_cast<uint32_t>(epilogue_of(d));
  calls(lt.set_desc(&plan->desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue));
}

// What an algorithm may ask for, to split long sums: some copies of the result.
uint64_t most_workspace(const GemmDesc& d) {
  const auto result = static_cast<uint64_t>(d.m * d.n * d.batch * element_bytes(d));
  constexpr uint64_t kLeast = 64 << 10, kMost = 32 << 20;
  return std::clamp(16 * result, kLeast, kMost);
}

cublasStatus_t set_bias(const GemmDesc& d, Plan* plan) {
  const void* pointer = d.bias_grad ? d.bias_grad : d.bias;
  if (!pointer) return CUBLAS_STATUS_SUCCESS;
  return library().table.set_desc(&plan->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &pointer,
                                  sizeof pointer);
}

cublasStatus_t make_plan(cublasLtHandle_t handle, const GemmDesc& d, bool tf32, Plan* plan) {
  const Library& lt = library().table;
  Calls calls;
  set_desc(calls, d, tf32, plan);
  calls(set_bias(d, plan));
  const int64_t rows_a = d.ta ? d.k : d.m, rows_b = d.tb ? d.n : d.k;
  lay_out(calls, d, &plan->a, rows_b, d.tb ? d.k : d.n, d.ldb, d.stride_b);
  lay_out(calls, d, &plan->b, rows_a, d.ta ? d.m : d.k, d.lda, d.stride_a);
  lay_out(calls, d, &plan->c, d.m, d.n, d.ldc, d.stride_c);

  cublasLtMatmulPreferenceOpaque_t preference;
  calls(lt.init_preference(&preference, sizeof preference));
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
    calls(lt.set_preference(&preference, attribute, &value, sizeof value));
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, most_workspace(d));
  const Alignments alignments = alignments_of(d);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignments.b);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignments.a);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignments.c);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignments.c);
  if (calls.status() != CUBLAS_STATUS_SUCCESS) return calls.status();

  cublasLtMatmulHeuristicResult_t choice{};
  int found = 0;
  calls(lt.heuristic(handle, &plan->desc, &plan->a, &plan->b, &plan->c, &plan->c, &preference, 1,
                     &choice, &found));
  if (calls.status() == CUBLAS_STATUS_SUCCESS && found == 0) return CUBLAS_STATUS_NOT_SUPPORTED;
  plan->algorithm = choice.algo;
  plan->workspace_bytes = choice.workspaceSize;
  plan->bias_grad = d.bias_grad != nullptr;
  return calls.status() != CUBLAS_STATUS_SUCCESS ? calls.status() : choice.state;
}

// ---- what is kept

struct Kept {
  std::mutex mutex;
  std::array<cublasLtHandle_t, kMostDevices> handles{};
  std::unordered_map<Key, Plan, KeyHash> plans;
};
Kept& kept() {
  static auto* k = new Kept;  // outlives the program's static tensors
  return *k;
}

// Fills handle and plan. The table is emptied when it is full: plans are cheap to make again, and
// the same.
cublasStatus_t find_plan(const GemmDesc& d, bool tf32, int device, cublasLtHandle_t* handle,
                         Plan* plan) {
  Kept& k = kept();
  const std::lock_guard lock(k.mutex);
  cublasLtHandle_t& own = k.handles.at(static_cast<size_t>(device));
  if (!own)
    if (const cublasStatus_t s = library().table.create(&own); s != CUBLAS_STATUS_SUCCESS) return s;
  *handle = own;
  const Key key = key_of(d, tf32, device);
  if (const auto found = k.plans.find(key); found != k.plans.end()) {
    *plan = found->second;
    return CUBLAS_STATUS_SUCCESS;
  }
  cublasStatus_t s = make_plan(own, d, tf32, plan);
  if (s == CUBLAS_STATUS_NOT_SUPPORTED && d.bias_grad) {
    GemmDesc product = d;
    product.bias_grad = nullptr;
    s = make_plan(own, product, tf32, plan);
  }
  if (s != CUBLAS_STATUS_SUCCESS) return s;
  if (k.plans.size() >= kMostPlans) k.plans.clear();
  k.plans.emplace(key, *plan);
  return CUBLAS_STATUS_SUCCESS;
}

// The device's own error, if that is behind it, else the runtime's word for the library's.
Status status_of(cublasStatus_t s, const char** message) {
  if (s == CUBLAS_STATUS_SUCCESS) return kSuccess;
  *message = library().table.status_name(s);
  if (const cudaError_t e = cudaGetLastError(); e != cudaSuccess) return static_cast<Status>(e);
  if (s == CUBLAS_STATUS_ALLOC_FAILED) return kOutOfMemory;
  if (s == CUBLAS_STATUS_INVALID_VALUE) return kInvalidValue;
  return s == CUBLAS_STATUS_NOT_SUPPORTED ? Status{cudaErrorNotSupported} : kUnknown;
}

}  // namespace

Status gemm_open(const char** message) {
  const Opened& opened = library();
  if (opened.failure.empty()) return kSuccess;
  *message = opened.failure.c_str();
  return cudaErrorSharedObjectInitFailed;
}

Status gemm(const GemmDesc& d, GemmCall& call) {
  if (const Status s = gemm_open(&call.message); s != kSuccess) return s;
  const Library& lt = library().table;
  const RelaxedCapture relaxed;
  cublasLtHandle_t handle = nullptr;
  Plan plan;
  if (const cublasStatus_t s = find_plan(d, call.tf32, call.device, &handle, &plan);
      s != CUBLAS_STATUS_SUCCESS)
    return status_of(s, &call.message);
  if (plan.bias_grad || d.bias) (void)set_bias(d, &plan);
  void* workspace =
      plan.workspace_bytes ? call.workspace(call.owner, plan.workspace_bytes) : nullptr;
  if (call.only_workspace) return kSuccess;
  const double one = 1, zero = 0;
  const float one_f = 1, zero_f = 0;
  const bool f64 = d.dtype == Dtype::f64;
  const void* alpha = f64 ? static_cast<const void*>(&one) : &one_f;
  const void* beta = f64 ? static_cast<const void*>(&zero) : &zero_f;
  call.wrote_bias_grad = plan.bias_grad;
  return status_of(lt.matmul(handle, &plan.desc, alpha, d.b, &plan.a, d.a, &plan.b, beta, d.c,
                             &plan.c, d.c, &plan.c, &plan.algorithm, workspace,
                             plan.workspace_bytes, reinterpret_cast<cudaStream_t>(call.stream)),
                   &call.message);
}

}  // namespace tinytorch::cuda::rt
