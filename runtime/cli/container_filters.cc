#include <regex.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "images/store/store.h"
#include "runtime/cli/container_rows.h"

namespace hull::cli {
namespace {

// A pattern of the user's, found anywhere in a text; one that is none matches only itself.
class Pattern {
 public:
  explicit Pattern(const std::string& pattern) : pattern_(pattern) {
    valid_ = regcomp(&compiled_, pattern.c_str(), REG_EXTENDED | REG_NOSUB) == 0;
  }
  ~Pattern() {
    if (valid_) regfree(&compiled_);
  }
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;

  bool Matches(const std::string& text) const {
    return text == pattern_ || (valid_ && regexec(&compiled_, text.c_str(), 0, nullptr, 0) == 0);
  }

 private:
  std::string pattern_;
  regex_t compiled_ = {};
  bool valid_ = false;
};

bool HasLabel(const ContainerRecord& record, const std::string& wanted) {
  const bool has_value = wanted.find('=') != std::string::npos;
  return std::any_of(record.labels.begin(), record.labels.end(), [&](const std::string& label) {
    return has_value ? label == wanted : label.substr(0, label.find('=')) == wanted;
  });
}

// Images that `ancestor=` stands for: as an id, and as a name.
struct Ancestor {
  std::string id;
  std::string familiar;
};
Ancestor FindAncestor(const Containers& containers, const std::string& wanted) {
  Ancestor ancestor;
  const Result<images::Store> store = images::Store::Open(containers.layout().store_root);
  if (store) {
    if (const Result<images::Image> image = store->Resolve(wanted)) ancestor.id = image->id;
  }
  const Result<images::ImageName> name = images::ParseImageName(wanted);
  if (name) ancestor.familiar = images::FamiliarName(name->Full());
  return ancestor;
}

Status CheckValues(const Filters& filters) {
  for (const std::string& status : filters.Values("status")) {
    constexpr std::string_view kKnown[] = {"created", "restarting", "running", "removing",
                                           "paused",  "exited",     "dead"};
    if (std::find(std::begin(kKnown), std::end(kKnown), status) == std::end(kKnown)) {
      return Fail(ErrorCode::kInvalidArgument, "invalid filter 'status={}'", status);
    }
  }
  for (const std::string& health : filters.Values("health")) {
    constexpr std::string_view kKnown[] = {"starting", "healthy", "unhealthy", "none"};
    if (std::find(std::begin(kKnown), std::end(kKnown), health) == std::end(kKnown)) {
      return Fail(ErrorCode::kInvalidArgument, "invalid filter 'health={}'", health);
    }
  }
  for (const std::string& code : filters.Values("exited")) {
    int number = 0;
    const char* const end = code.data() + code.size();
    const auto read = std::from_chars(code.data(), end, number);
    if (read.ec != std::errc() || read.ptr != end) {
      return Fail(ErrorCode::kInvalidArgument, "invalid filter 'exited={}'", code);
    }
  }
  return {};
}

// Whether a container of hull's can fit what is asked of things that it has not: ports, volumes, a
// network but none, health checks, a swarm.
bool CanFit(const Filters& filters) {
  const auto is_none = [](const std::string& value) { return value == "none"; };
  const auto is_false = [](const std::string& value) { return value == "false" || value == "0"; };
  return !filters.Has("expose") && !filters.Has("publish") && !filters.Has("volume") &&
         filters.AnyOf("network", is_none) && filters.AnyOf("health", is_none) &&
         filters.AnyOf("is-task", is_false);
}

template <typename Keep>
void KeepIf(std::vector<ContainerRecord>& records, Keep keep) {
  std::erase_if(records, [&](const ContainerRecord& record) { return !keep(record); });
}

}  // namespace

Result<Filters> ParseContainerFilters(const std::vector<std::string>& words) {
  HULL_ASSIGN(
      Filters filters,
      Filters::Parse(words, {"ancestor", "before", "exited", "expose", "health", "id", "is-task",
                             "label", "name", "network", "publish", "since", "status", "volume"}));
  HULL_TRY(CheckValues(filters));
  return filters;
}

Result<std::vector<ContainerRecord>> FilterContainers(const Containers& containers,
                                                      std::vector<ContainerRecord> all,
                                                      const Filters& filters) {
  if (!CanFit(filters)) all.clear();
  for (const char* const order : {"before", "since"}) {
    for (const std::string& name : filters.Values(order)) {
      HULL_ASSIGN(const ContainerRecord other, containers.Load(name));
      const bool is_before = std::string_view(order) == "before";
      KeepIf(all, [&](const ContainerRecord& record) {
        return is_before ? record.created_at_ns < other.created_at_ns
                         : record.created_at_ns > other.created_at_ns;
      });
    }
  }
  for (const char* const what : {"id", "name"}) {
    if (!filters.Has(what)) continue;
    std::vector<std::unique_ptr<Pattern>> patterns;
    for (const std::string& value : filters.Values(what)) {
      patterns.push_back(std::make_unique<Pattern>(value));
    }
    const bool is_id = std::string_view(what) == "id";
    KeepIf(all, [&](const ContainerRecord& record) {
      return std::any_of(patterns.begin(), patterns.end(), [&](const auto& pattern) {
        // Docker's names begin with a slash, and patterns may say so.
        return is_id ? pattern->Matches(record.id)
                     : pattern->Matches(record.name) || pattern->Matches("/" + record.name);
      });
    });
  }
  if (filters.Has("ancestor")) {
    std::vector<Ancestor> ancestors;
    for (const std::string& value : filters.Values("ancestor")) {
      ancestors.push_back(FindAncestor(containers, value));
    }
    KeepIf(all, [&](const ContainerRecord& record) {
      const Result<images::ImageName> name = images::ParseImageName(record.image);
      const std::string familiar = name ? images::FamiliarName(name->Full()) : record.image;
      return std::any_of(ancestors.begin(), ancestors.end(), [&](const Ancestor& ancestor) {
        return (!ancestor.id.empty() && ancestor.id == record.image_id) ||
               (!ancestor.familiar.empty() && ancestor.familiar == familiar);
      });
    });
  }
  KeepIf(all, [&](const ContainerRecord& record) {
    return filters.AnyOf("status", [&](const std::string& it) {
      return ContainerStatusName(record.state.status) == it;
    }) && filters.AnyOf("exited", [&](const std::string& it) {
      return record.state.status == ContainerStatus::kExited &&
             std::to_string(record.state.exit_code.value_or(0)) == it;
    }) && filters.AllOf("label", [&](const std::string& it) { return HasLabel(record, it); });
  });
  return all;
}

}  // namespace hull::cli
