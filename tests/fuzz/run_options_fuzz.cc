// What files and flags bring to a container's configuration: the first byte chooses the parser, the
// rest is its text.
#include <cstdint>
#include <string>
#include <string_view>

#include <boost/json/parse.hpp>

#include "runtime/capabilities.h"
#include "runtime/cli/units.h"
#include "runtime/limit_checks.h"
#include "runtime/resource_limit.h"
#include "runtime/seccomp_document.h"
#include "runtime/security_options.h"
#include "runtime/signal_name.h"
#include "runtime/tmpfs_options.h"
#include "runtime/utf8.h"
#include "runtime/variable_file.h"
#include "vmm/base/check.h"

namespace {

using namespace hull;

void VariableFile(std::string_view text) {
  const Result<std::vector<std::string>> lines =
      ParseVariableFile(text, [](const std::string&) { return "value"; });
  if (!lines) return;
  for (const std::string& line : *lines) {
    const size_t equals = line.find('=');
    HULL_CHECK(equals != std::string::npos && equals > 0);
    HULL_CHECK(line.find_first_of(" \t") >= equals);
    HULL_CHECK(IsUtf8(line) && line.find('\0') == std::string::npos);
  }
}

void Seccomp(std::string_view text) {
  const Result<boost::json::object> plain = SeccompDocument(text, 0);
  const Result<boost::json::object> all = SeccompDocument(text, AllCapabilities());
  // What a profile is does not hang on the capabilities.
  HULL_CHECK(plain.has_value() == all.has_value());
  if (plain && !plain->empty()) HULL_CHECK(plain->contains("defaultAction"));
}

void Limit(std::string_view text) {
  const Result<ResourceLimit> limit = ParseResourceLimit(text);
  if (!limit) return;
  HULL_CHECK(limit->hard == -1 || (limit->soft != -1 && limit->soft <= limit->hard));
  HULL_CHECK(OciName(*limit).starts_with("RLIMIT_"));
}

void Cpus(std::string_view text) {
  const Result<std::vector<uint32_t>> cpus = ParseCpuList(text);
  if (!cpus) return;
  HULL_CHECK(!cpus->empty());
  for (size_t i = 1; i < cpus->size(); ++i) HULL_CHECK((*cpus)[i - 1] < (*cpus)[i]);
}

void Tmpfs(std::string_view text) {
  std::vector<TmpfsMount> mounts;
  if (!AddTmpfs(text, mounts)) return;
  HULL_CHECK(mounts.size() == 1 && mounts[0].destination.starts_with('/'));
  HULL_CHECK(TmpfsMountOptions(mounts[0].options).has_value());
}

void Security(std::string_view text) {
  SecurityOptions security;
  const ProfileReader reader = [](const std::string&) -> Result<std::string> { return "{}"; };
  if (!ApplySecurityOptions({std::string(text)}, reader, security)) return;
  HULL_CHECK(security.shown.size() == 1);
  HULL_CHECK(!security.privileged);
}

void Names(std::string_view text) {
  const Result<int> signal = ParseSignal(text);
  if (signal) HULL_CHECK(*signal >= 1 && *signal <= 64);
  const Result<std::vector<std::string>> names = NormalizeCapabilities({std::string(text)});
  if (names && names->front() != "ALL") HULL_CHECK(CapabilityNumber(names->front()) >= 0);
  const std::string good = ReplaceNonUtf8(text);
  HULL_CHECK(IsUtf8(good));
  HULL_CHECK(IsUtf8(text) == (good == text));
  static_cast<void>(cli::ParseBytes(text));
  static_cast<void>(cli::ParseNanoCpus(text));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  // SAFETY: bytes seen as characters; the view ends where the input does.
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  constexpr void (*kParsers[])(std::string_view) = {VariableFile, Seccomp,  Limit, Cpus,
                                                    Tmpfs,        Security, Names};
  // The corpus writes the choice as a digit.
  kParsers[(data[0] - static_cast<unsigned>('0')) % std::size(kParsers)](text);
  return 0;
}
