#include "images/store/records.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "images/digest/digest.h"
#include "vmm/base/file.h"

namespace hull::images {
namespace {

namespace json = boost::json;

constexpr std::int64_t kVersion = 1;
constexpr uint64_t kFileBytes = uint64_t{64} << 20;
constexpr mode_t kFileMode = 0644;
constexpr std::string_view kFilePrefix = "sha256-";
constexpr std::string_view kJsonSuffix = ".json";

std::string_view View(const json::string& text) {
  return {text.data(), text.size()};
}

// The store wrote these files: what does not fit is damage, or a newer hull's.
tl::unexpected<Error> Damaged(const std::string& path) {
  return Fail(ErrorCode::kCorrupt, "{} is damaged: remove it, and pull the image again", path);
}

Result<json::object> ReadVersioned(const std::string& path) {
  HULL_ASSIGN(const std::string text, ReadFile(path, kFileBytes));
  boost::system::error_code error;
  json::value value = json::parse(json::string_view(text.data(), text.size()), error);
  if (error || !value.is_object()) return Damaged(path);
  const json::value* version = value.get_object().if_contains("version");
  const std::int64_t* number = version == nullptr ? nullptr : version->if_int64();
  if (number == nullptr) return Damaged(path);
  if (*number != kVersion) {
    return Fail(ErrorCode::kUnsupported,
                "{} is of version {}, made by another hull; this one knows {}", path, *number,
                kVersion);
  }
  return std::move(value.get_object());
}

// The digest in field `key`; empty when there is none.
std::string DigestField(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(json::string_view(key.data(), key.size()));
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  return text != nullptr && IsDigest(View(*text)) ? std::string(View(*text)) : std::string();
}

std::string Encode(json::object object) {
  object["version"] = kVersion;
  return json::serialize(object) + "\n";
}

}  // namespace

std::string StorePaths::Layer(std::string_view diff_id, std::string_view variant) const {
  return fmt::format("{}/{}{}{}{}.erofs", Layers(), kFilePrefix, HexOf(diff_id),
                     variant.empty() ? "" : "-", variant);
}

std::string StorePaths::ImplicitList(std::string_view diff_id) const {
  return fmt::format("{}/{}{}.implicit", Layers(), kFilePrefix, HexOf(diff_id));
}

std::string StorePaths::LinkList(std::string_view diff_id) const {
  return fmt::format("{}/{}{}.links", Layers(), kFilePrefix, HexOf(diff_id));
}

std::string StorePaths::Recipe(std::string_view diff_id) const {
  return fmt::format("{}/{}{}.recipe", Layers(), kFilePrefix, HexOf(diff_id));
}

std::string StorePaths::Blob(std::string_view digest) const {
  return fmt::format("{}/{}{}", Blobs(), kFilePrefix, HexOf(digest));
}

std::string StorePaths::ImageFile(std::string_view id) const {
  return fmt::format("{}/{}{}{}", Images(), kFilePrefix, HexOf(id), kJsonSuffix);
}

Result<std::vector<std::string>> ReadLines(const std::string& path, uint64_t cap_bytes) {
  std::vector<std::string> lines;
  Result<std::string> text = ReadFile(path, cap_bytes);
  if (!text && text.error().code() == ErrorCode::kNotFound) return lines;
  if (!text) return Fail(std::move(text).error());
  for (size_t start = 0; start < text->size();) {
    const size_t end = std::min(text->find('\n', start), text->size());
    lines.push_back(text->substr(start, end - start));
    start = end + 1;
  }
  return lines;
}

Result<NameTable> ReadNames(const StorePaths& paths) {
  NameTable names;
  Result<json::object> object = ReadVersioned(paths.Names());
  if (!object && object.error().code() == ErrorCode::kNotFound) return names;
  if (!object) return Fail(std::move(object).error());
  const json::value* table = object->if_contains("names");
  if (table == nullptr || !table->is_object()) return Damaged(paths.Names());
  for (const auto& [name, value] : table->get_object()) {
    const json::object* entry = value.if_object();
    if (entry == nullptr) return Damaged(paths.Names());
    NameRecord record{DigestField(*entry, "id"), DigestField(*entry, "digest")};
    if (record.id.empty() || record.digest.empty()) return Damaged(paths.Names());
    names.emplace(std::string_view(name.data(), name.size()), std::move(record));
  }
  return names;
}

std::string EncodeNames(const NameTable& names) {
  json::object table;
  for (const auto& [name, record] : names) {
    table[name] = json::object{{"id", record.id}, {"digest", record.digest}};
  }
  return Encode({{"version", kVersion}, {"names", std::move(table)}});
}

Result<std::optional<ImageRecord>> ReadImageRecord(const StorePaths& paths, std::string_view id) {
  const std::string path = paths.ImageFile(id);
  Result<json::object> object = ReadVersioned(path);
  if (!object && object.error().code() == ErrorCode::kNotFound) return std::nullopt;
  if (!object) return Fail(std::move(object).error());
  ImageRecord record{DigestField(*object, "id"), DigestField(*object, "manifest_digest"), {}, {}};
  const json::value* diff_ids = object->if_contains("diff_ids");
  if (record.id != id || record.manifest_digest.empty() || diff_ids == nullptr ||
      !diff_ids->is_array()) {
    return Damaged(path);
  }
  for (const json::value& value : diff_ids->get_array()) {
    const json::string* diff_id = value.if_string();
    if (diff_id == nullptr || !IsDigest(View(*diff_id))) return Damaged(path);
    record.diff_ids.emplace_back(View(*diff_id));
  }
  record.variants.resize(record.diff_ids.size());
  if (const json::value* variants = object->if_contains("variants"); variants != nullptr) {
    const json::array* list = variants->if_array();
    if (list == nullptr || list->size() != record.diff_ids.size()) return Damaged(path);
    for (size_t i = 0; i < list->size(); ++i) {
      const json::string* variant = (*list)[i].if_string();
      // It becomes a part of a file's name.
      if (variant == nullptr ||
          View(*variant).find_first_not_of("0123456789abcdef") != std::string_view::npos) {
        return Damaged(path);
      }
      record.variants[i] = View(*variant);
    }
  }
  return record;
}

std::string EncodeImageRecord(const ImageRecord& record) {
  json::array diff_ids;
  for (const std::string& diff_id : record.diff_ids) diff_ids.emplace_back(diff_id);
  json::array variants;
  for (const std::string& variant : record.variants) variants.emplace_back(variant);
  return Encode({{"version", kVersion},
                 {"id", record.id},
                 {"manifest_digest", record.manifest_digest},
                 {"diff_ids", std::move(diff_ids)},
                 {"variants", std::move(variants)}});
}

Result<std::vector<std::string>> ListImageIds(const StorePaths& paths) {
  std::vector<std::string> ids;
  std::error_code error;
  std::filesystem::directory_iterator entries(paths.Images(), error);
  if (error == std::errc::no_such_file_or_directory) return ids;
  if (error) return Fail(Error::FromErrno(error.value(), fmt::format("list {}", paths.Images())));
  for (const auto& entry : entries) {
    const std::string file = entry.path().filename();
    if (!file.starts_with(kFilePrefix) || !file.ends_with(kJsonSuffix)) continue;
    std::string id = "sha256:" + file.substr(kFilePrefix.size(),
                                             file.size() - kFilePrefix.size() - kJsonSuffix.size());
    if (IsDigest(id)) ids.push_back(std::move(id));
  }
  return ids;
}

Status SyncDirectory(const std::string& path) {
  HULL_ASSIGN(const UniqueFd fd, OpenFile(path, O_RDONLY | O_DIRECTORY));
  if (::fsync(fd.get()) != 0) return FailErrno("write directory {}", path);
  return {};
}

Status PublishRename(const std::string& from, const std::string& target) {
  if (::rename(from.c_str(), target.c_str()) != 0)
    return FailErrno("rename {} to {}", from, target);
  return SyncDirectory(target.substr(0, target.rfind('/')));
}

Error HintAtRoom(Error error) {
  if (error.error_number() != ENOSPC && error.error_number() != EDQUOT) return error;
  return std::move(error).WithHint("free some space on the file system that holds the image store");
}

Status PublishFile(const std::string& scratch, const std::string& path, std::string_view data) {
  const std::string temporary =
      fmt::format("{}/publish-{}", scratch, path.substr(path.rfind('/') + 1));
  HULL_ASSIGN(const UniqueFd fd,
              OpenFile(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, kFileMode));
  HULL_TRY_WITHIN(fmt::format("write {}", path), WriteAll(fd.get(), data));
  if (::fsync(fd.get()) != 0) return FailErrno("write {}", path);
  return PublishRename(temporary, path);
}

}  // namespace hull::images
