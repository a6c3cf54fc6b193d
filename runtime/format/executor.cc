#include "runtime/format/executor.h"

#include <algorithm>
#include <array>

#include "runtime/format/parser.h"
#include "vmm/base/escape.h"

namespace hull::format {
namespace {

namespace json = boost::json;

// Fields of docker's documents whose keys are the user's.
constexpr std::array<std::string_view, 14> kFreeKeys = {
    "Annotations",  "Attributes",  "Config.Config", "Data",     "Driver.Options",
    "ExposedPorts", "GraphDriver", "Labels",        "Networks", "Options",
    "Ports",        "StorageOpt",  "Sysctls",       "Volumes"};

bool HasFreeKeys(std::string_view field) {
  return std::find(kFreeKeys.begin(), kFreeKeys.end(), field) != kFreeKeys.end();
}

}  // namespace

Executor::Executor(std::string_view text, const json::value& data, const Template::Options& options)
    : text_(text), data_(data), options_(options) {}

Result<std::string> Executor::Run(const ListNode& root) {
  const Value dot{&data_};
  variables_.push_back({"$", dot});
  HULL_TRY(Walk(root, dot));
  return std::move(out_);
}

Status Executor::Step() {
  if (++steps_ <= Template::kMaxSteps) return {};
  return Fail(ErrorCode::kExhausted, "the template takes more than {} steps", Template::kMaxSteps);
}

Status Executor::Put(std::string_view text) {
  HULL_TRY(arena_.Count(text.size()));
  out_ += text;
  return {};
}

tl::unexpected<Error> Executor::FailAt(size_t position, std::string_view source,
                                       std::string_view message) const {
  const LineAndColumn at = Locate(text_, position);
  return Fail(ErrorCode::kInvalidArgument, "template: :{}:{}: executing \"\" at <{}>: {}", at.line,
              at.column, source, message);
}
tl::unexpected<Error> Executor::FailAt(const Operand& operand, std::string_view message) const {
  return FailAt(operand.position, operand.source, message);
}

Result<Executor::Left> Executor::Walk(const ListNode& list, const Value& dot) {
  for (const Node& node : list.nodes) {
    HULL_ASSIGN(const Left left, WalkNode(node, dot));
    if (left != Left::kAtEnd) return left;
  }
  return Left::kAtEnd;
}

Result<Executor::Left> Executor::WalkNode(const Node& node, const Value& dot) {
  HULL_TRY(Step());
  switch (node.kind) {
    case Node::Kind::kText:
      HULL_TRY(Put(node.text));
      break;
    case Node::Kind::kAction: {
      HULL_ASSIGN(const Value value, Evaluate(node.pipeline, dot));
      if (node.pipeline.variables.empty()) HULL_TRY(Put(Print(value.data)));
      break;
    }
    case Node::Kind::kIf:
    case Node::Kind::kWith:
      return Branch(node, dot);
    case Node::Kind::kRange:
      return Range(node, dot);
    case Node::Kind::kBreak:
      return Left::kByBreak;
    case Node::Kind::kContinue:
      return Left::kByContinue;
  }
  return Left::kAtEnd;
}

Result<Executor::Left> Executor::Branch(const Node& node, const Value& dot) {
  const size_t variables = variables_.size();
  HULL_ASSIGN(const Value value, Evaluate(node.pipeline, dot));
  Result<Left> left = Left::kAtEnd;
  if (IsTrue(value.data)) {
    left = Walk(*node.body, node.kind == Node::Kind::kWith ? value : dot);
  } else if (node.otherwise != nullptr) {
    left = Walk(*node.otherwise, dot);
  }
  variables_.resize(variables);
  return left;
}

// Keys and elements, maps sorted by key as Go does it.
Result<std::vector<std::pair<Value, Value>>> Executor::Elements(const Node& node,
                                                                const Value& value) {
  std::vector<std::pair<Value, Value>> elements;
  if (value.data == nullptr || value.data->is_null()) return elements;
  if (value.data->is_array()) {
    int64_t place = 0;
    for (const json::value& element : value.data->get_array()) {
      elements.emplace_back(Value{arena_.Keep(place++)}, Value{&element});
    }
  } else if (value.data->is_object()) {
    std::vector<const json::key_value_pair*> fields;
    for (const json::key_value_pair& field : value.data->get_object()) fields.push_back(&field);
    std::sort(fields.begin(), fields.end(),
              [](const auto* a, const auto* b) { return a->key() < b->key(); });
    for (const json::key_value_pair* field : fields) {
      elements.emplace_back(Value{arena_.Keep(json::value(field->key()))}, Value{&field->value()});
    }
  } else if (value.data->is_int64()) {
    const int64_t count = value.data->get_int64();
    for (int64_t i = 0; i < count; ++i) {
      HULL_TRY(Step());
      HULL_TRY(arena_.Count(sizeof(json::value) + 2 * sizeof(Value)));
      const Value number{arena_.Keep(i)};
      elements.emplace_back(number, number);
    }
  } else {
    const Operand& operand = node.pipeline.commands.back().operands.front();
    return FailAt(operand, fmt::format("range can't iterate over {}", Print(value.data)));
  }
  return elements;
}

Result<Executor::Left> Executor::RangeBody(const Node& node, const Value& key,
                                           const Value& element) {
  const std::vector<std::string>& names = node.pipeline.variables;
  const size_t variables = variables_.size();
  for (size_t i = 0; i < names.size(); ++i) {
    const Value& value = i + 1 == names.size() ? element : key;
    if (node.pipeline.is_assignment) {
      *FindVariable(names[i]) = value;
    } else {
      variables_.push_back({names[i], value});
    }
  }
  Result<Left> left = Walk(*node.body, element);
  variables_.resize(variables);
  return left;
}

Result<Executor::Left> Executor::Range(const Node& node, const Value& dot) {
  const size_t variables = variables_.size();
  HULL_ASSIGN(const Value value, Evaluate(node.pipeline, dot));
  HULL_ASSIGN(const auto elements, Elements(node, value));
  Result<Left> left = Left::kAtEnd;
  for (const auto& [key, element] : elements) {
    HULL_TRY(Step());
    left = RangeBody(node, key, element);
    if (!left || *left == Left::kByBreak) break;
  }
  if (left && *left != Left::kAtEnd) left = Left::kAtEnd;
  if (elements.empty() && node.otherwise != nullptr) left = Walk(*node.otherwise, dot);
  variables_.resize(variables);
  return left;
}

Result<Value> Executor::Evaluate(const Pipeline& pipeline, const Value& dot) {
  Value value;
  const Value* last = nullptr;
  for (const CommandNode& command : pipeline.commands) {
    HULL_ASSIGN(const Value next, EvaluateCommand(command, dot, last));
    value = next;
    last = &value;
  }
  HULL_TRY(SetVariables(pipeline, value));
  return value;
}

// Those of `range` are set for each of its elements.
Status Executor::SetVariables(const Pipeline& pipeline, const Value& value) {
  for (const std::string& name : pipeline.variables) {
    if (!pipeline.is_assignment) {
      variables_.push_back({name, value});
    } else if (Value* const variable = FindVariable(name)) {
      *variable = value;
    } else {
      return FailAt(pipeline.position, name, "undefined variable");
    }
  }
  return {};
}

Value* Executor::FindVariable(std::string_view name) {
  const auto found = std::find_if(variables_.rbegin(), variables_.rend(),
                                  [&](const Variable& it) { return it.name == name; });
  return found == variables_.rend() ? nullptr : &found->value;
}

Result<Value> Executor::EvaluateCommand(const CommandNode& command, const Value& dot,
                                        const Value* last) {
  const Operand& first = command.operands.front();
  if (first.kind == Operand::Kind::kFunction) return Call(command, dot, last);
  if (first.kind == Operand::Kind::kConstant && first.constant.is_null()) {
    return FailAt(first, "nil is not a command");
  }
  if (command.operands.size() == 1 && last == nullptr) return EvaluateOperand(first, dot);
  switch (first.kind) {
    case Operand::Kind::kField:
      if (first.fields.size() == 1 && first.fields[0] == "Label" && options_.labels != nullptr) {
        return Label(command, dot, last);
      }
      return FailAt(first,
                    fmt::format("{} is not a method but has arguments", first.fields.back()));
    case Operand::Kind::kVariable:
    case Operand::Kind::kPipeline:
      if (!first.fields.empty()) {
        return FailAt(first,
                      fmt::format("{} is not a method but has arguments", first.fields.back()));
      }
      break;
    default:
      break;
  }
  return FailAt(first, fmt::format("can't give argument to non-function {}", first.source));
}

// {{.Label "com.example.some-name"}}: docker's heading of it is "some name".
Result<Value> Executor::Label(const CommandNode& command, const Value& dot, const Value* last) {
  const Operand& first = command.operands.front();
  if (command.operands.size() - 1 + (last == nullptr ? 0 : 1) != 1) {
    return FailAt(first, "wrong number of args for Label: want 1");
  }
  Value name;
  if (last != nullptr) {
    name = *last;
  } else {
    HULL_ASSIGN(name, EvaluateOperand(command.operands[1], dot));
  }
  HULL_TRY(CheckArgument(command.operands.back(), 's', name));
  const json::string& key = name.data->get_string();
  if (options_.purpose == Template::Purpose::kHeadings) {
    std::string heading(key.begin(), key.end());
    heading.erase(0, heading.rfind('.') + 1);
    std::replace(heading.begin(), heading.end(), '-', ' ');
    std::replace(heading.begin(), heading.end(), '_', ' ');
    return Value{arena_.Keep(json::value(heading))};
  }
  const json::value* const found = options_.labels->if_contains(key);
  return Value{found != nullptr ? found : arena_.Keep(json::value(""))};
}

Result<Value> Executor::EvaluateOperand(const Operand& operand, const Value& dot) {
  HULL_TRY(Step());
  switch (operand.kind) {
    case Operand::Kind::kDot:
      return dot;
    case Operand::Kind::kConstant:
      return Value{&operand.constant};
    case Operand::Kind::kField:
      return Fields(operand, dot);
    case Operand::Kind::kVariable: {
      Value* const variable = FindVariable(operand.name);
      if (variable == nullptr) return FailAt(operand, "undefined variable");
      return Fields(operand, *variable);
    }
    case Operand::Kind::kPipeline: {
      HULL_ASSIGN(const Value value, Evaluate(*operand.pipeline, dot));
      return Fields(operand, value);
    }
    case Operand::Kind::kFunction:
      break;
  }
  // A function as an argument is called without any.
  const Function* const function = FindFunction(operand.name);
  if (function->call == nullptr || function->parameters != "a*") {
    return FailAt(operand,
                  fmt::format("wrong number of args for {}: want at least 1 got 0", operand.name));
  }
  return function->call({}, arena_);
}

Result<Value> Executor::Fields(const Operand& operand, Value value) {
  for (const std::string& name : operand.fields) {
    HULL_ASSIGN(value, Field(operand, value, name));
  }
  return value;
}

Result<Value> Executor::Field(const Operand& operand, const Value& value, const std::string& name) {
  if (value.data == nullptr || value.data->is_null()) {
    return FailAt(operand, fmt::format("nil pointer evaluating interface {{}}.{}", name));
  }
  if (!value.data->is_object()) {
    return FailAt(operand,
                  fmt::format("can't evaluate field {} in type {}", name,
                              value.data == &data_ ? TypeName(value.data) : "interface {}"));
  }
  const json::value* const found = value.data->get_object().if_contains(name);
  if (found == nullptr && !value.has_free_keys) {
    return FailAt(operand, fmt::format("map has no entry for key \"{}\"", name));
  }
  return Value{found, HasFreeKeys(name)};
}

Status Executor::CheckArgument(const Operand& at, char parameter, const Value& value) const {
  if (parameter == 'a') return {};
  const bool is_nil = value.data == nullptr || value.data->is_null();
  if (parameter == 's') {
    if (is_nil) return FailAt(at, "invalid value; expected string");
    if (value.data->is_string()) return {};
    if (at.kind == Operand::Kind::kConstant) {
      return FailAt(at, fmt::format("expected string; found {}", at.source));
    }
    return FailAt(
        at, fmt::format("wrong type for value; expected string; got {}", TypeName(value.data)));
  }
  const auto is_string = [](const json::value& element) { return element.is_string(); };
  if (is_nil) return {};  // an empty list of docker's
  if (value.data->is_array() &&
      std::all_of(value.data->get_array().begin(), value.data->get_array().end(), is_string)) {
    return {};
  }
  return FailAt(
      at, fmt::format("wrong type for value; expected []string; got {}", TypeName(value.data)));
}

// `and`, `or`: up to the argument that decides.
Result<Value> Executor::Shortcut(const CommandNode& command, const Value& dot, const Value* last) {
  const bool stops_at = command.operands.front().name == "or";
  Value value;
  for (size_t i = 1; i < command.operands.size(); ++i) {
    HULL_ASSIGN(value, EvaluateOperand(command.operands[i], dot));
    if (IsTrue(value.data) == stops_at) return value;
  }
  return last == nullptr ? value : *last;
}

Result<Value> Executor::Call(const CommandNode& command, const Value& dot, const Value* last) {
  HULL_TRY(Step());
  const Operand& first = command.operands.front();
  const Function& function = *FindFunction(first.name);
  const std::string_view parameters = function.parameters;
  const bool any_number = parameters.ends_with('*');
  const size_t least = any_number ? parameters.size() - 2 : parameters.size();
  const size_t count = command.operands.size() - 1 + (last == nullptr ? 0 : 1);
  if (count < least || (!any_number && count > least)) {
    return FailAt(first, fmt::format("wrong number of args for {}: want {}{} got {}", first.name,
                                     any_number ? "at least " : "", least, count));
  }
  if (function.call == nullptr) return Shortcut(command, dot, last);
  const bool is_identity = options_.purpose == Template::Purpose::kHeadings && function.is_docker_s;
  std::vector<Value> arguments;
  for (size_t i = 0; i < count; ++i) {
    const bool is_last = i + 1 == command.operands.size();
    const Operand& at = is_last ? command.operands.back() : command.operands[i + 1];
    if (is_last) {
      arguments.push_back(*last);
    } else {
      HULL_ASSIGN(const Value value, EvaluateOperand(at, dot));
      arguments.push_back(value);
    }
    const char parameter = parameters[std::min(i, parameters.size() - (any_number ? 2 : 1))];
    if (!is_identity) HULL_TRY(CheckArgument(at, parameter, arguments.back()));
  }
  if (is_identity)
    return function.name == "json" ? Value{arena_.Keep(json::value(""))} : arguments[0];
  Result<Value> value = function.call(arguments, arena_);
  if (value || value.error().code() != ErrorCode::kInvalidArgument) return value;
  return FailAt(first.position, command.source,
                fmt::format("error calling {}: {}", first.name, value.error().message()));
}

}  // namespace hull::format
