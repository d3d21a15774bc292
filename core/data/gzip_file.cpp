// GzipFile on zlib, which also passes plain files through.
#include "core/data/gzip_file.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include <zlib.h>

namespace tinytorch {

// DEFLATE cannot do better than 1032 to 1 (zlib's technical notes).
static constexpr uint64_t kBestRatio = 1032;

GzipFile::GzipFile(const std::string& path) : path_(path) {
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(path, error);
  if (error) fail(0, "cannot be opened: " + error.message());
  file_ = gzopen(path.c_str(), "rbe");
  if (!file_) fail(0, "cannot be opened: " + std::generic_category().message(errno));
  gzbuffer(static_cast<gzFile>(file_), 1 << 16);
  const bool plain = gzdirect(static_cast<gzFile>(file_));
  most_bytes_ = plain ? size : size > UINT64_MAX / kBestRatio ? UINT64_MAX : size * kBestRatio;
}

GzipFile::~GzipFile() {
  if (file_) gzclose_r(static_cast<gzFile>(file_));
}

void GzipFile::fail(uint64_t at, const std::string& why) const {
  throw IoError("[read_idx] '" + path_ + "' at byte " + std::to_string(at) + ": " + why);
}

size_t GzipFile::read_some(void* to, size_t count) {
  const auto file = static_cast<gzFile>(file_);
  size_t done = 0;
  while (done < count) {
    const auto part = static_cast<unsigned>(std::min<size_t>(count - done, 1u << 30));
    const int got = gzread(file, static_cast<char*>(to) + done, part);
    if (got > 0) done += static_cast<size_t>(got);
    if (got < static_cast<int>(part)) break;
  }
  position_ += done;
  if (done < count) {
    int error = Z_OK;
    const char* text = gzerror(file, &error);
    if (error == Z_ERRNO)
      fail(position_, "cannot be read: " + std::generic_category().message(errno));
    if (error == Z_BUF_ERROR) fail(position_, "truncated: the compressed data end early");
    if (error != Z_OK && error != Z_STREAM_END)
      fail(position_, std::string("damaged compressed data: ") + text);
  }
  return done;
}

void GzipFile::read(void* to, size_t count, const char* what) {
  const uint64_t start = position_;
  if (const size_t got = read_some(to, count); got < count) {
    fail(position_, std::string("truncated: ") + what + " at byte " + std::to_string(start) +
                        " has " + std::to_string(count) + " bytes, " + std::to_string(got) +
                        " are there");
  }
}

}  // namespace tinytorch
