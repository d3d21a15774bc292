// The header of a safetensors file: a JSON object of names, dtypes, shapes and places. Parsing it
// checks all of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <tinytorch/dtype.h>
#include <tinytorch/io/safetensors.h>
#include <tinytorch/shape.h>

#include "core/io/file.h"

namespace tinytorch {

struct TensorEntry {
  std::string name;
  Dtype dtype;
  Shape shape;
  uint64_t begin, end;  // in the data, which start after the header
};
struct SafetensorsHeader {
  std::vector<TensorEntry>
      entries;  // in the order of their data, which they fill without gap or overlap
  Metadata metadata;
  uint64_t data_start = 0;  // in the file
};

// Reads the first bytes of the file, up to data_start.
SafetensorsHeader read_header(InputFile& file);
// The bytes before the data: length and JSON, padded with spaces to a multiple of 8.
std::string write_header(const SafetensorsHeader& header);

}  // namespace tinytorch
