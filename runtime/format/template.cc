#include "runtime/format/template.h"

#include "runtime/format/executor.h"
#include "runtime/format/nodes.h"
#include "runtime/format/parser.h"

namespace hull::format {
namespace {

// As docker passes on what Go says.
Error FromTemplate(Error error) {
  if (error.code() != ErrorCode::kInvalidArgument) return error;
  return std::move(error).Within("template parsing error");
}

}  // namespace

Template::Template(std::unique_ptr<ListNode> root, std::string text)
    : root_(std::move(root)), text_(std::move(text)) {}
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;
Template::~Template() = default;

Result<Template> Template::Parse(std::string_view text) {
  if (text.size() > kMaxTextBytes) {
    return Fail(ErrorCode::kInvalidArgument, "a template of more than {} KiB",
                kMaxTextBytes / 1024);
  }
  Result<std::unique_ptr<ListNode>> root = ParseTemplate(text);
  if (!root) return Fail(FromTemplate(std::move(root).error()));
  return Template(std::move(*root), std::string(text));
}

Result<std::string> Template::Execute(const boost::json::value& data,
                                      const Options& options) const {
  Result<std::string> text = Executor(text_, data, options).Run(*root_);
  if (!text) return Fail(FromTemplate(std::move(text).error()));
  return text;
}
Result<std::string> Template::Execute(const boost::json::value& data) const {
  return Execute(data, Options());
}

}  // namespace hull::format
