// What the library throws. A message reads "[op] what was given, what is needed" and quotes shapes,
// dtypes and values. Nothing in the library aborts the host program or writes to its stderr.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include <tinytorch/export.h>

namespace tinytorch {

class TT_API Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message) : std::runtime_error(message) {}
  ~Error() override;  // key function: one type_info for host program, core and plugins
};

#define TT_DECLARE_ERROR(Name)       \
  class TT_API Name : public Error { \
   public:                           \
    using Error::Error;              \
    ~Name() override;                \
  }
TT_DECLARE_ERROR(ShapeError);        // shapes that do not fit, a bad dim or option of an op
TT_DECLARE_ERROR(DtypeError);        // a dtype that the op does not take
TT_DECLARE_ERROR(DeviceError);       // unknown, unusable, mixed or lost device
TT_DECLARE_ERROR(OutOfMemoryError);  // after caches were freed and the request was tried once more
TT_DECLARE_ERROR(
    IndexError);            // a value out of range: an index, a class, a zero divisor of integers
TT_DECLARE_ERROR(IoError);  // a file; the message names file and byte
TT_DECLARE_ERROR(AutogradError);  // misuse of the graph: freed, changed in place, without history
TT_DECLARE_ERROR(ValueError);     // an argument out of its domain (probability, learning rate, ...)
#undef TT_DECLARE_ERROR

}  // namespace tinytorch
