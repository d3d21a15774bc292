// The command line of a program: a list of flags, from which --help is made too, and what was given
// for them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace bench {

struct Flag {
  const char *name, *value, *initial;  // value: what stands for it in --help, "" for a switch
  const char* help;                    // "": not listed
};

// Flags that several programs have.
inline constexpr Flag kDeviceFlag = {"--device", "D", "cpu",
                                     "cpu, reference, cuda, or the name of a plugin"};
inline constexpr Flag kDevicesFlag = {"--devices", "D,...", "cpu",
                                      "cpu, reference, cuda, or names of plugins"};
inline constexpr Flag kThreadsFlag = {"--threads", "N", "1", "threads of the CPU backend"};
inline constexpr Flag kJsonFlag = {"--json", "FILE", "",
                                   "write the lines to FILE instead of standard output"};
inline constexpr Flag kOutFlag = {"--out", "DIR", "",
                                  "folder of the report; made if it is not there"};
inline constexpr Flag kListFlag = {"--list", "", "", "print the names of the workloads"};

// Values of flags that the program declared. ValueError, which quotes flag and text, where a number
// is not one or out of range, and where a list is empty.
class Arguments {
 public:
  bool given(const std::string& name) const { return given_.count(name) > 0; }
  const std::string& text(const std::string& name) const { return values_.at(name); }
  std::vector<std::string> list(const std::string& name) const;  // parted by commas
  int64_t number(const std::string& name, int64_t least, int64_t most) const;
  std::vector<int64_t> numbers(const std::string& name, int64_t least, int64_t most) const;
  double seconds(const std::string& name) const;  // > 0

 private:
  friend int run_program(int, char**, const char*, const std::vector<Flag>&,
                         const std::function<int(const Arguments&)>&);

  std::map<std::string, std::string> values_;
  std::set<std::string> given_;
};

// main() of a program: parses, answers --help, runs. Exit status: what `run` returns; 2 with a
// message for arguments that cannot be used (ValueError and DeviceError out of `run` too); 1 for
// any other exception.
int run_program(int argc, char** argv, const char* about, const std::vector<Flag>& flags,
                const std::function<int(const Arguments&)>& run);

}  // namespace bench
