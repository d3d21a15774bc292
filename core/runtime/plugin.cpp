// Opening a backend plugin. Every way in which this can fail ends in a reason and a fix. A plugin
// is looked for in the directories of TINYTORCH_BACKEND_PATH, beside libtinytorch.so, and in the
// install libdir; never in the current directory; and is never closed.
#include <dirent.h>
#include <dlfcn.h>
#include <sys/stat.h>

#include <cstdlib>
#include <cstring>

#include "core/runtime/registry.h"

#ifndef TT_INSTALL_LIBDIR
#define TT_INSTALL_LIBDIR "/usr/local/lib"
#endif

namespace tinytorch {

namespace {

constexpr std::string_view kPrefix = "libtinytorch_", kSuffix = ".so";

std::vector<std::string> search_path() {
  std::vector<std::string> dirs;
  if (const char* env = std::getenv("TINYTORCH_BACKEND_PATH")) {
    std::string_view rest = env;
    while (!rest.empty()) {
      const size_t colon = rest.find(':');
      const std::string_view dir = rest.substr(0, colon);
      if (!dir.empty() && dir[0] == '/')
        dirs.emplace_back(dir);  // a relative one would depend on the current directory
      rest = colon == std::string_view::npos ? std::string_view() : rest.substr(colon + 1);
    }
  }
  Dl_info self{};
  if (dladdr(reinterpret_cast<void*>(&load_plugin), &self) && self.dli_fname) {
    const std::string file = self.dli_fname;
    if (const size_t slash = file.rfind('/'); slash != std::string::npos)
      dirs.push_back(file.substr(0, slash));
  }
  dirs.emplace_back(TT_INSTALL_LIBDIR);
  return dirs;
}

bool valid_name(const std::string& name) {
  for (char c : name)
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) return false;
  return !name.empty();
}

std::string join(const std::vector<std::string>& parts) {
  std::string out;
  for (const auto& p : parts) out += (out.empty() ? "" : ", ") + p;
  return out;
}

// dlerror names a library that is missing as "libx.so.1: cannot open shared object file".
Unusable explain_dlopen(const std::string& file, const std::string& error) {
  const size_t at = error.find(": cannot open shared object file: No such file");
  if (at != std::string::npos) {
    const size_t from = error.rfind(' ', at - 1);
    const std::string library = error.substr(from == std::string::npos ? 0 : from + 1,
                                             at - (from == std::string::npos ? 0 : from + 1));
    return {Why::missing_library,
            "plugin " + file + " needs the library " + library + ", which was not found",
            "install " + library + ", or add its directory to LD_LIBRARY_PATH"};
  }
  return {Why::failed, "plugin " + file + " could not be opened: " + error,
          "rebuild or reinstall the plugin"};
}

Unusable wrong_spi(const std::string& file, const std::string& what) {
  return {Why::wrong_spi, "plugin " + file + " was built for another version: " + what,
          "rebuild the plugin against this version of TinyTorch (" + std::string(version()) +
              ") with the same compiler"};
}

}  // namespace

std::vector<std::string> plugin_names() {
  std::vector<std::string> names;
  for (const std::string& dir : search_path()) {
    DIR* d = opendir(dir.c_str());
    if (!d) continue;
    while (const dirent* entry = readdir(d)) {
      const std::string_view f = entry->d_name;
      if (f.size() > kPrefix.size() + kSuffix.size() && f.starts_with(kPrefix) &&
          f.ends_with(kSuffix))
        names.emplace_back(f.substr(kPrefix.size(), f.size() - kPrefix.size() - kSuffix.size()));
    }
    closedir(d);
  }
  return names;
}

Backend* load_plugin(const std::string& name, Unusable& why_not) {
  if (!valid_name(name)) {
    why_not = {Why::plugin_not_found, "'" + name + "' is not a backend name",
               "use lower-case letters, digits and '_', as in \"cpu\" or \"cuda:0\""};
    return nullptr;
  }
  const std::vector<std::string> dirs = search_path();
  std::string file;
  for (const auto& dir : dirs) {
    struct stat st;
    const std::string path = dir + "/" + std::string(kPrefix) + name + std::string(kSuffix);
    if (stat(path.c_str(), &st) == 0) {
      file = path;
      break;
    }
  }
  if (file.empty()) {
    why_not = {Why::plugin_not_found,
               "plugin libtinytorch_" + name + ".so was not found in " + join(dirs),
               "install that plugin, or put its directory into TINYTORCH_BACKEND_PATH"};
    return nullptr;
  }
  void* handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    const char* error = dlerror();
    why_not = explain_dlopen(file, error ? error : "unknown error");
    return nullptr;
  }
  const auto* plugin = static_cast<const BackendPlugin*>(dlsym(handle, "tinytorch_backend_plugin"));
  if (!plugin) {
    why_not = {Why::failed, "plugin " + file + " has no symbol tinytorch_backend_plugin",
               "add TT_BACKEND_PLUGIN(create) to the plugin"};
    return nullptr;
  }
  const SpiBuild ours;
  if (plugin->spi != kSpiNumber) {
    why_not = wrong_spi(file, "SPI number " + std::to_string(plugin->spi) + ", needed " +
                                  std::to_string(kSpiNumber));
    return nullptr;
  }
  const SpiBuild& b = plugin->build;
  if (std::strcmp(b.abi, ours.abi) != 0) {
    why_not = wrong_spi(file, "compiler ABI " + std::string(b.abi) + ", needed " + ours.abi);
    return nullptr;
  }
  if (b.view != ours.view || b.table != ours.table || b.context != ours.context ||
      b.info != ours.info || b.event != ours.event || b.stats != ours.stats ||
      b.others != ours.others) {
    why_not = wrong_spi(file, "the sizes of the interface's structs differ");
    return nullptr;
  }
  if (!plugin->create) {
    why_not = {Why::failed, "plugin " + file + " names no create function",
               "pass one to TT_BACKEND_PLUGIN"};
    return nullptr;
  }
  Backend* backend = plugin->create(&why_not);
  if (!backend && why_not.why == Why::usable)
    why_not = {Why::failed, "plugin " + file + " gave no backend and no reason",
               "report this to its author"};
  if (backend && (backend->device_count() < 1 || backend->name() != name)) {
    why_not = {Why::failed,
               "plugin " + file + " gave a backend named '" + std::string(backend->name()) +
                   "' with " + std::to_string(backend->device_count()) + " devices",
               "the name must be that of the file, with at least one device"};
    return nullptr;
  }
  return backend;
}

}  // namespace tinytorch
