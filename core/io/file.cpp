// InputFile and AtomicFile on POSIX calls.
#include "core/io/file.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tinytorch {

static std::string reason(int error) { return std::generic_category().message(error); }

static constexpr uint64_t kMostPerCall = 1u << 30;

// ---- reading

void InputFile::fail(uint64_t at, const std::string& why) const {
  throw IoError("[load_safetensors] '" + path_ + "' at byte " + std::to_string(at) + ": " + why);
}

InputFile::InputFile(const std::string& path) : path_(path) {
  descriptor_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) fail(0, "cannot be opened: " + reason(errno));
  struct stat info;
  const int error = fstat(descriptor_, &info) != 0 ? errno : S_ISREG(info.st_mode) ? 0 : EINVAL;
  if (error) {
    close(descriptor_);
    fail(0, error == EINVAL ? "is not a regular file" : "cannot be read: " + reason(error));
  }
  size_ = static_cast<uint64_t>(info.st_size);
}

InputFile::~InputFile() { close(descriptor_); }

void InputFile::read(void* to, uint64_t count) {
  for (uint64_t done = 0; done < count;) {
    const ssize_t got =
        ::read(descriptor_, static_cast<char*>(to) + done, std::min(count - done, kMostPerCall));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(position_, "cannot be read: " + reason(errno));
    if (got == 0) fail(position_, "truncated: the file ends here");
    done += static_cast<uint64_t>(got);
    position_ += static_cast<uint64_t>(got);
  }
}

// ---- writing

void AtomicFile::fail(const std::string& what, int error) const {
  throw IoError("[save_safetensors] '" + path_ + "' at byte " + std::to_string(position_) + ": " +
                what + ": " + reason(error));
}

AtomicFile::AtomicFile(const std::string& path) : path_(path) {
  static std::atomic<unsigned> counter{0};
  for (int attempt = 0; attempt < 100; ++attempt) {
    temporary_ = path + ".tmp-" + std::to_string(getpid()) + "-" + std::to_string(counter++);
    descriptor_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ >= 0 || errno != EEXIST) break;
  }
  if (descriptor_ < 0) fail("cannot be created", errno);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) close(descriptor_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void AtomicFile::write(const void* from, uint64_t count) {
  for (uint64_t done = 0; done < count;) {
    const ssize_t put = ::write(descriptor_, static_cast<const char*>(from) + done,
                                std::min(count - done, kMostPerCall));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail("cannot be written", errno);
    done += static_cast<uint64_t>(put);
    position_ += static_cast<uint64_t>(put);
  }
}

void AtomicFile::commit() {
  // Some file systems have no fsync for this kind of file (EINVAL); what they take is then all
  // there is.
  if (fsync(descriptor_) != 0 && errno != EINVAL) fail("cannot be written", errno);
  if (close(std::exchange(descriptor_, -1)) != 0) fail("cannot be written", errno);
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) fail("cannot be renamed to", errno);
  temporary_.clear();
}

}  // namespace tinytorch
