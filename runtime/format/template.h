// Go's text/template over JSON, as docker's users write it after --format: fields, variables,
// pipelines, if, range, with, Go's own functions and docker's (json, split, join, ...).
//
// Left out: define, template, block, call, js, urlquery. A field that an object lacks is an error,
// as it is in docker; in what docker has as a map with free keys (Labels, ...) it is "<no value>".
// Numbers are Go's int and float64. Text comes out as it went in: escape it before if it is
// hostile.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "vmm/base/result.h"

namespace hull::format {

struct ListNode;

class Template {
 public:
  // The template's text itself may have at most this many bytes.
  static constexpr size_t kMaxTextBytes = 64 * 1024;
  // Of blocks and parentheses inside each other.
  static constexpr size_t kMaxDepth = 64;
  // Evaluated parts of one execution, and bytes of what it puts out or makes up.
  static constexpr size_t kMaxSteps = 1'000'000;
  static constexpr size_t kMaxBytes = size_t{64} << 20U;

  // Headings are what a listing shows above its columns: docker's functions leave their argument as
  // it is there.
  enum class Purpose { kValues, kHeadings };

  struct Options {
    Purpose purpose = Purpose::kValues;
    // What {{.Label "name"}} looks up; nullptr: there is no such thing.
    const boost::json::object* labels = nullptr;
  };

  // kInvalidArgument, in docker's words: "template parsing error: template: :1: ...".
  static Result<Template> Parse(std::string_view text);

  // kInvalidArgument as Parse; kExhausted: it would take too long or give too much.
  Result<std::string> Execute(const boost::json::value& data, const Options& options) const;
  Result<std::string> Execute(const boost::json::value& data) const;

  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;
  ~Template();

 private:
  explicit Template(std::unique_ptr<ListNode> root, std::string text);

  std::unique_ptr<ListNode> root_;
  std::string text_;
};

}  // namespace hull::format
