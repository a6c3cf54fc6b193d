// What a template can call: Go's own functions and docker's.
#pragma once

#include <deque>
#include <span>
#include <string_view>

#include <boost/json/value.hpp>

#include "runtime/format/printing.h"
#include "vmm/base/result.h"

namespace hull::format {

struct Value {
  ValuePointer data = nullptr;  // nullptr: there is none
  // Its keys are the user's (Labels): one that is missing is no mistake.
  bool has_free_keys = false;
};

// Keeps what functions make for as long as the template runs.
class Arena {
 public:
  ValuePointer Keep(boost::json::value value);
  // kExhausted when what has been counted is too much.
  Status Count(size_t bytes);

 private:
  std::deque<boost::json::value> values_;
  size_t bytes_ = 0;
};

struct Function {
  std::string_view name;
  // One letter a parameter: s a string, l a list of strings, a anything; the last may be followed
  // by '*': any number of it.
  std::string_view parameters;
  // The arguments fit `parameters`. nullptr: `and` and `or`, which do not evaluate all of theirs.
  Result<Value> (*call)(std::span<const Value> arguments, Arena& arena);
  // In a heading it gives its first argument.
  bool is_docker_s = false;
};

// nullptr: there is none.
const Function* FindFunction(std::string_view name);

// Go's idea of a value that is not empty.
bool IsTrue(ValuePointer value);

}  // namespace hull::format
