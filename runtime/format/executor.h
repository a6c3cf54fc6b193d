// Runs a parsed template over a value.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/format/functions.h"
#include "runtime/format/nodes.h"
#include "runtime/format/template.h"

namespace hull::format {

// Good for one run. `text`: the template's, for error messages; it and the data must outlive it.
class Executor {
 public:
  Executor(std::string_view text, const boost::json::value& data, const Template::Options& options);

  // kInvalidArgument, in Go's words; kExhausted.
  Result<std::string> Run(const ListNode& root);

 private:
  // Where a list of nodes was left.
  enum class Left { kAtEnd, kByBreak, kByContinue };
  struct Variable {
    std::string_view name;
    Value value;
  };

  Result<Left> Walk(const ListNode& list, const Value& dot);
  Result<Left> WalkNode(const Node& node, const Value& dot);
  Result<Left> Branch(const Node& node, const Value& dot);
  Result<Left> Range(const Node& node, const Value& dot);
  Result<Left> RangeBody(const Node& node, const Value& key, const Value& element);
  Result<std::vector<std::pair<Value, Value>>> Elements(const Node& node, const Value& value);

  Result<Value> Evaluate(const Pipeline& pipeline, const Value& dot);
  Status SetVariables(const Pipeline& pipeline, const Value& value);
  Result<Value> EvaluateCommand(const CommandNode& command, const Value& dot, const Value* last);
  Result<Value> EvaluateOperand(const Operand& operand, const Value& dot);
  Result<Value> Fields(const Operand& operand, Value value);
  Result<Value> Field(const Operand& operand, const Value& value, const std::string& name);
  Result<Value> Label(const CommandNode& command, const Value& dot, const Value* last);
  Result<Value> Call(const CommandNode& command, const Value& dot, const Value* last);
  Result<Value> Shortcut(const CommandNode& command, const Value& dot, const Value* last);
  Status CheckArgument(const Operand& at, char parameter, const Value& value) const;
  Value* FindVariable(std::string_view name);

  Status Step();
  Status Put(std::string_view text);
  tl::unexpected<Error> FailAt(size_t position, std::string_view source,
                               std::string_view message) const;
  tl::unexpected<Error> FailAt(const Operand& operand, std::string_view message) const;

  std::string_view text_;
  const boost::json::value& data_;
  Template::Options options_;
  Arena arena_;
  std::vector<Variable> variables_;
  std::string out_;
  size_t steps_ = 0;
};

}  // namespace hull::format
