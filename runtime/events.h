// What happened to containers and images, for `hull events`: <run root>/events.jsonl, one JSON
// object a line in the shape of docker's events:
//   {"status":"start","id":"<id>","from":"busybox","Type":"container","Action":"start",
//    "Actor":{"ID":"<id>","Attributes":{"image":"busybox","name":"web",...}},
//    "scope":"local","time":1763838000,"timeNano":1763838000123456789}
// Each is appended with one write(2), so that lines of several writers do not mix, under a shared
// lock. When the file has grown to kMaxEventsBytes it becomes events.jsonl.1, under an exclusive
// one, and what was there is gone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/container_record.h"
#include "runtime/host_layout.h"

namespace hull {

inline constexpr uint64_t kMaxEventsBytes = 4ULL << 20;

struct Event {
  std::string type;    // "container", "image"
  std::string action;  // docker's word: "create", "start", "die", "pull"
  std::string id;      // the actor's
  std::vector<std::pair<std::string, std::string>> attributes;
  int64_t time_ns = 0;  // CLOCK_REALTIME; 0: now
};

std::string EventsPath(const HostLayout& layout);

// One line with its line feed.
std::string WriteEvent(const Event& event);

// Best effort: an event that cannot be written is no reason for a command to fail.
void RecordEvent(const HostLayout& layout, const Event& event);

// Of a container, with docker's attributes: image, name and the labels; `more` behind them.
void RecordContainerEvent(const HostLayout& layout, const ContainerRecord& record,
                          std::string_view action,
                          std::vector<std::pair<std::string, std::string>> more = {});

}  // namespace hull
