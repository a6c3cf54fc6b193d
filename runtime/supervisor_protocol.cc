#include "runtime/supervisor_protocol.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "vmm/base/file.h"

namespace hull {
namespace {

namespace json = boost::json;

constexpr size_t kChunkBytes = 4096;

const json::value* Find(const json::object& object, std::string_view name) {
  return object.if_contains(json::string_view(name.data(), name.size()));
}

}  // namespace

json::object ToJson(const ContainerEnd& end) {
  json::object event{{"event", end.started ? "exited" : "failed"},
                     {"exit_code", end.exit_code},
                     {"out_of_memory", end.out_of_memory}};
  if (!end.error.empty()) event["error"] = end.error;
  if (!end.hint.empty()) event["hint"] = end.hint;
  if (!end.console.empty()) event["console"] = end.console;
  return event;
}

Result<ContainerEnd> ContainerEndOf(const json::object& event) {
  const std::string name = TextOf(event, "event");
  if (name != "exited" && name != "failed") return Fail(ErrorCode::kCorrupt, "not an end");
  ContainerEnd end;
  end.started = name == "exited";
  end.exit_code = static_cast<int>(IntegerOf(event, "exit_code", 125));
  end.out_of_memory = BoolOf(event, "out_of_memory");
  end.error = TextOf(event, "error");
  end.hint = TextOf(event, "hint");
  end.console = TextOf(event, "console");
  return end;
}

Status SendLine(int socket, const json::object& message, const std::vector<int>& descriptors) {
  const std::string line = json::serialize(message) + "\n";
  iovec data{};
  // SAFETY: sendmsg only reads what iov_base points to.
  data.iov_base = const_cast<char*>(line.data());
  data.iov_len = line.size();
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMaxPassedDescriptors)> control{};
  if (!descriptors.empty()) {
    const size_t bytes = sizeof(int) * std::min(descriptors.size(), kMaxPassedDescriptors);
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(bytes);
    cmsghdr* message_header = CMSG_FIRSTHDR(&header);
    message_header->cmsg_level = SOL_SOCKET;
    message_header->cmsg_type = SCM_RIGHTS;
    message_header->cmsg_len = CMSG_LEN(bytes);
    std::memcpy(CMSG_DATA(message_header), descriptors.data(), bytes);
  }
  ssize_t sent = -1;
  do {
    sent = sendmsg(socket, &header, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return FailErrno("tell the container's supervisor");
  return WriteAll(socket, std::string_view(line).substr(static_cast<size_t>(sent)));
}

Result<size_t> ReceiveSome(int socket, std::string& text, std::vector<UniqueFd>& descriptors) {
  std::array<char, kChunkBytes> chunk{};
  iovec data{chunk.data(), chunk.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMaxPassedDescriptors)> control{};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t got = -1;
  do {
    got = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0 && errno == EAGAIN) {
    return Fail(ErrorCode::kUnavailable, "nothing to read");
  }
  if (got < 0) return 0;  // a connection that broke has ended
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
      descriptors.emplace_back(fd);
    }
  }
  text.append(chunk.data(), static_cast<size_t>(got));
  return static_cast<size_t>(got);
}

Result<json::object> TakeLine(std::string& text) {
  const size_t end = text.find('\n');
  if (end == std::string::npos) {
    if (text.size() > kMaxSupervisorLineBytes) {
      return Fail(ErrorCode::kCorrupt, "a line is longer than {} bytes", kMaxSupervisorLineBytes);
    }
    return Fail(ErrorCode::kNotFound, "no line yet");
  }
  json::error_code error;
  json::value value = json::parse(json::string_view(text.data(), end), error);
  text.erase(0, end + 1);
  if (error || !value.is_object()) return Fail(ErrorCode::kCorrupt, "a line is no JSON object");
  return std::move(value.get_object());
}

std::string TextOf(const json::object& object, std::string_view name) {
  const json::value* value = Find(object, name);
  if (value == nullptr || !value->is_string()) return {};
  return {value->get_string().begin(), value->get_string().end()};
}

int64_t IntegerOf(const json::object& object, std::string_view name, int64_t otherwise) {
  const json::value* value = Find(object, name);
  if (value == nullptr) return otherwise;
  json::error_code error;
  const auto number = value->to_number<int64_t>(error);
  return error ? otherwise : number;
}

bool BoolOf(const json::object& object, std::string_view name) {
  const json::value* value = Find(object, name);
  return value != nullptr && value->is_bool() && value->get_bool();
}

}  // namespace hull
