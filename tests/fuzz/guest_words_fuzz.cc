// What a container makes its guest say, and what hull and the agent read of it: processes, chunks
// of an archive, sysctls, changes of an image.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <thread>

#include <boost/json/object.hpp>

#include "guest-agent/oci.h"
#include "guest-agent/processes.h"
#include "guest-agent/protocol/chunk_stream.h"
#include "guest-agent/sysctl.h"
#include "runtime/copy_paths.h"
#include "runtime/image_changes.h"
#include "runtime/process_table.h"
#include "vmm/base/check.h"
#include "vmm/base/file.h"

namespace {

using namespace hull;

// At most a socket's buffer of it, so that one thread can write and read it.
void ReadChunks(std::string_view text) {
  int fds[2];
  HULL_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
  const UniqueFd ours(fds[0]);
  UniqueFd theirs(fds[1]);
  HULL_CHECK(WriteAll(theirs.get(), text.substr(0, 32768)).has_value());
  theirs.Reset();
  agent::ChunkReceiver receiver(ours.get());
  for (;;) {
    const auto chunk = receiver.Next();
    if (!chunk) return;
    HULL_CHECK(chunk->size() <= agent::kMaxChunkBytes);
    if (chunk->empty()) break;
  }
  HULL_CHECK(agent::ToArchiveError(receiver.end()).message().size() <= 4 * 4096);
}

void ShowProcesses(std::string_view text) {
  agent::v1::ProcessesResponse response;
  if (!response.ParseFromString(std::string(text))) return;
  const auto columns = ParsePsOptions(std::vector<std::string>{"aux"});
  for (const char c : FormatProcesses(*columns, response)) HULL_CHECK(c == '\n' || c != '\033');
}

void TakeSysctls(std::string_view text) {
  auto config = agent::ParseObject(text, "input");
  if (!config) return;
  const auto taken = agent::TakeGuestSysctls(*config);
  if (!taken) return;
  for (const agent::Sysctl& sysctl : *taken) {
    HULL_CHECK(!sysctl.path.starts_with('/') &&
               ("/" + sysctl.path + "/").find("/../") == std::string::npos);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  // SAFETY: bytes seen as characters; the view ends where the input does.
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  boost::json::object config;
  switch (data[0] % 6) {
    case 0:
      ReadChunks(text);
      break;
    case 1:
      ShowProcesses(text);
      break;
    case 2:
      TakeSysctls(text);
      break;
    case 3:
      static_cast<void>(agent::ParseProcessStat(text));
      static_cast<void>(agent::ParseProcessStatus(text));
      break;
    case 4:
      static_cast<void>(ApplyImageChange(config, text));
      break;
    default:
      static_cast<void>(ParseCopyPlace(text));
      static_cast<void>(ParsePsOptions(std::vector<std::string>{"-o", std::string(text)}));
      break;
  }
  return 0;
}
