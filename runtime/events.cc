#include "runtime/events.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "vmm/base/file.h"
#include "vmm/base/log.h"

namespace hull {
namespace {

constexpr int64_t kNsPerSecond = 1'000'000'000;

constexpr int kAppendAttempts = 8;

bool IsCurrent(int fd, const std::string& path) {
  struct stat mine {};
  struct stat current {};
  return fstat(fd, &mine) == 0 && stat(path.c_str(), &current) == 0 &&
         mine.st_ino == current.st_ino;
}

// Alone with the file, so that nobody writes to it afterwards: a reader that has seen another in
// its place has read all of it. Nobody is waited for: the next writer is just as good.
void Rotate(int fd, const std::string& path) {
  if (flock(fd, LOCK_EX | LOCK_NB) != 0 || !IsCurrent(fd, path)) return;
  rename(path.c_str(), (path + ".1").c_str());
}

Status Append(const std::string& path, const std::string& line) {
  const auto open = [&path] { return OpenFile(path, O_WRONLY | O_CREAT | O_APPEND, 0600); };
  HULL_ASSIGN(UniqueFd fd, open());
  HULL_ASSIGN(const uint64_t size, FileSizeBytes(fd.get(), path));
  if (size > kMaxEventsBytes) {
    Rotate(fd.get(), path);
    HULL_ASSIGN(fd, open());
  }
  for (int attempt = 0; attempt < kAppendAttempts; ++attempt) {
    if (flock(fd.get(), LOCK_SH) != 0) return FailErrno("lock {}", path);
    if (IsCurrent(fd.get(), path)) break;
    // It was put aside in this moment.
    HULL_ASSIGN(fd, open());
  }
  return WriteAll(fd.get(), line);
}

}  // namespace

std::string EventsPath(const HostLayout& layout) {
  return layout.run_root + "/events.jsonl";
}

std::string WriteEvent(const Event& event) {
  const int64_t time_ns = event.time_ns != 0 ? event.time_ns : NowNs();
  boost::json::object attributes;
  std::string_view from;
  for (const auto& [name, value] : event.attributes) {
    if (name == "image") from = value;
    attributes[name] = value;
  }
  boost::json::object object;
  // Docker has the first three for containers alone.
  if (event.type == "container") {
    object["status"] = event.action;
    object["id"] = event.id;
    object["from"] = boost::json::string_view(from.data(), from.size());
  }
  object["Type"] = event.type;
  object["Action"] = event.action;
  object["Actor"] = {{"ID", event.id}, {"Attributes", std::move(attributes)}};
  object["scope"] = "local";
  object["time"] = time_ns / kNsPerSecond;
  object["timeNano"] = time_ns;
  return boost::json::serialize(object) + "\n";
}

void RecordEvent(const HostLayout& layout, const Event& event) {
  const std::string path = EventsPath(layout);
  const std::string line = WriteEvent(event);
  Status status = Append(path, line);
  if (!status && status.error().code() == ErrorCode::kNotFound) {
    status = MakeDirectories(layout.run_root, 0700);
    if (status) status = Append(path, line);
  }
  if (!status) log::Warn("an event is not recorded: {}", status.error().ToString());
}

void RecordContainerEvent(const HostLayout& layout, const ContainerRecord& record,
                          std::string_view action,
                          std::vector<std::pair<std::string, std::string>> more) {
  Event event{"container", std::string(action), record.id, {}, 0};
  event.attributes = {{"image", record.image}, {"name", record.name}};
  for (const std::string& label : record.labels) {
    const size_t equals = std::min(label.find('='), label.size());
    event.attributes.emplace_back(label.substr(0, equals),
                                  label.substr(std::min(equals + 1, label.size())));
  }
  for (auto& attribute : more) event.attributes.push_back(std::move(attribute));
  RecordEvent(layout, event);
}

}  // namespace hull
