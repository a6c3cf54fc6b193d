#include "runtime/copy_paths.h"

#include "vmm/base/escape.h"

namespace hull {
namespace {

std::string_view WithoutSlashes(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return path;
}

// "a/" and "a/." say that a is a directory.
bool AssertsDirectory(std::string_view path) {
  return path.ends_with('/') || path.ends_with("/.") || path == ".";
}

// "a/." is a's content.
bool MeansContent(std::string_view path) {
  return path.ends_with("/.") || path == "." || WithoutSlashes(path) == "/";
}

std::string_view WithoutDot(std::string_view path) {
  while (path.ends_with("/.")) path = WithoutSlashes(path.substr(0, path.size() - 1));
  return WithoutSlashes(path);
}

}  // namespace

std::string BaseName(std::string_view path) {
  path = WithoutSlashes(path);
  if (path == "/") return std::string(path);
  const size_t slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

std::string ParentOf(std::string_view path) {
  path = WithoutDot(path);
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return std::string(slash == 0 ? path.substr(0, 1) : WithoutSlashes(path.substr(0, slash)));
}

Result<CopyTarget> PlanCopy(const std::string& source, bool source_is_directory,
                            const std::string& destination, const PathState& state) {
  if (!source_is_directory && AssertsDirectory(source)) {
    return Fail(ErrorCode::kInvalidArgument, "not a directory: {}", EscapeControl(source));
  }
  if (state.exists && state.is_directory) {
    return CopyTarget{destination, MeansContent(source) ? "." : BaseName(source)};
  }
  if (state.exists && source_is_directory) {
    return Fail(ErrorCode::kInvalidArgument, "cannot copy directory");
  }
  if (state.exists && AssertsDirectory(destination)) {
    return Fail(ErrorCode::kInvalidArgument, "not a directory: {}", EscapeControl(destination));
  }
  // A new name; a file's must not say that it is a directory.
  if (!state.exists && !source_is_directory && AssertsDirectory(destination)) {
    return Fail(ErrorCode::kInvalidArgument, "no such directory");
  }
  return CopyTarget{ParentOf(destination), BaseName(WithoutDot(destination))};
}

CopyPlace ParseCopyPlace(std::string_view text) {
  const size_t colon = text.find(':');
  const bool host = text.starts_with('/') || text.starts_with('.') ||
                    colon == std::string_view::npos || colon == 0 ||
                    text.substr(0, colon).find('/') != std::string_view::npos;
  if (host) return {std::nullopt, std::string(text)};
  return {std::string(text.substr(0, colon)), std::string(text.substr(colon + 1))};
}

}  // namespace hull
