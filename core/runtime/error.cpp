// Key functions: every program and plugin shares these type_infos, so an Error thrown in one is
// caught in another.
#include <tinytorch/backend/backend.h>
#include <tinytorch/error.h>

namespace tinytorch {

Error::~Error() = default;
ShapeError::~ShapeError() = default;
DtypeError::~DtypeError() = default;
DeviceError::~DeviceError() = default;
OutOfMemoryError::~OutOfMemoryError() = default;
IndexError::~IndexError() = default;
IoError::~IoError() = default;
AutogradError::~AutogradError() = default;
ValueError::~ValueError() = default;

Observer::~Observer() = default;
RecordedGraph::~RecordedGraph() = default;
Stream::~Stream() = default;
Allocator::~Allocator() = default;
Backend::~Backend() = default;

void Backend::run_tasks(int64_t tasks, int, Task f, void* argument) {
  for (int64_t task = 0; task < tasks; ++task) f(argument, task, 0);
}
bool Stream::begin_capture() { return false; }
std::unique_ptr<RecordedGraph> Stream::end_capture() { return nullptr; }

}  // namespace tinytorch
