// A template, parsed. Positions are bytes in its text, for what is said of errors.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <boost/json/value.hpp>

namespace hull::format {

struct Pipeline;

// What can stand as an operand.
struct Operand {
  enum class Kind {
    kDot,
    kConstant,  // nil, booleans, numbers, strings: `constant`
    kField,     // .A.B: `fields` of dot
    kVariable,  // $x.A: `fields` of the variable `name`
    kFunction,  // `name`
    kPipeline,  // ( ... ).A
  };
  Kind kind = Kind::kDot;
  size_t position = 0;  // of the last field, when there are any
  std::string name;
  std::vector<std::string> fields;
  boost::json::value constant;
  std::unique_ptr<Pipeline> pipeline;
  std::string source;  // for error messages
};

// One operand, or a function and its arguments.
struct CommandNode {
  std::vector<Operand> operands;  // at least one
  size_t position = 0;
  std::string source;  // for error messages
};

struct Pipeline {
  // $a, $b := ... (two in `range` alone)
  std::vector<std::string> variables;
  bool is_assignment = false;  // "=" rather than ":="
  std::vector<CommandNode> commands;
  size_t position = 0;
};

struct ListNode;

struct Node {
  enum class Kind { kText, kAction, kIf, kRange, kWith, kBreak, kContinue };
  Kind kind = Kind::kText;
  std::string text;
  Pipeline pipeline;
  std::unique_ptr<ListNode> body;
  std::unique_ptr<ListNode> otherwise;  // nullptr: there is no {{else}}
};

struct ListNode {
  std::vector<Node> nodes;
};

}  // namespace hull::format
