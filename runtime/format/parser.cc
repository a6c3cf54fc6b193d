#include "runtime/format/parser.h"

#include <algorithm>
#include <array>
#include <utility>

#include "runtime/format/constants.h"
#include "runtime/format/functions.h"
#include "runtime/format/lexer.h"
#include "runtime/format/template.h"
#include "vmm/base/escape.h"

namespace hull::format {
namespace {

constexpr std::array<std::string_view, 10> kKeywords = {
    "if", "else", "end", "range", "with", "break", "continue", "define", "block", "template"};

bool IsKeyword(std::string_view word) {
  return std::find(kKeywords.begin(), kKeywords.end(), word) != kKeywords.end();
}

// As Go shows a word that it did not expect.
std::string Shown(const Token& token) {
  constexpr size_t kLongest = 10;
  if (token.kind == TokenKind::kEnd) return "EOF";
  if (token.kind == TokenKind::kDot) return "<.>";
  if (token.kind == TokenKind::kIdentifier && IsKeyword(token.text)) {
    return fmt::format("<{}>", token.text);
  }
  const std::string text = EscapeControl(token.text.substr(0, kLongest));
  return fmt::format("\"{}\"{}", text, token.text.size() > kLongest ? "..." : "");
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text), tokens_(Tokenize(text)) {}

  Result<std::unique_ptr<ListNode>> Run() {
    Result<Body> body = List();
    if (!body) return Locate(std::move(body).error());
    if (body->stop != Stop::kEof) {
      return Locate(
          Error(ErrorCode::kInvalidArgument,
                fmt::format("unexpected {{{{{}}}}}", body->stop == Stop::kEnd ? "end" : "else")));
    }
    return std::move(body->list);
  }

 private:
  enum class Stop { kEof, kEnd, kElse };
  struct Body {
    std::unique_ptr<ListNode> list;
    Stop stop;
  };

  // Counts how deep blocks and parentheses are inside each other.
  class Depth {
   public:
    explicit Depth(size_t& depth) : depth_(depth) { ++depth_; }
    ~Depth() { --depth_; }
    Depth(const Depth&) = delete;
    Depth& operator=(const Depth&) = delete;

   private:
    size_t& depth_;
  };
  Status CheckDepth() const {
    if (depth_ <= Template::kMaxDepth) return {};
    return Fail(ErrorCode::kInvalidArgument, "more than {} blocks inside each other",
                Template::kMaxDepth);
  }

  tl::unexpected<Error> Locate(Error error) const {
    const size_t line =
        format::Locate(text_, tokens_[std::min(at_, tokens_.size() - 1)].position).line;
    return Fail(error.code(), "template: :{}: {}", line, error.message());
  }

  const Token& Peek() const { return tokens_[at_]; }
  const Token& PeekBehindSpaces() {
    SkipSpaces();
    return tokens_[at_];
  }
  // The last token stays.
  const Token& Next() {
    const Token& token = tokens_[at_];
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  void SkipSpaces() {
    while (Peek().kind == TokenKind::kSpace) Next();
  }
  bool TakeWord(std::string_view word) {
    const Token& token = PeekBehindSpaces();
    if (token.kind != TokenKind::kIdentifier || token.text != word) return false;
    Next();
    return true;
  }
  static tl::unexpected<Error> Unexpected(const Token& token, std::string_view where) {
    if (token.kind == TokenKind::kError) {
      return Fail(ErrorCode::kInvalidArgument, "{}", token.text);
    }
    return Fail(ErrorCode::kInvalidArgument, "unexpected {} in {}", Shown(token), where);
  }
  Status ExpectClose(std::string_view where) {
    if (PeekBehindSpaces().kind != TokenKind::kClose) return Unexpected(Peek(), where);
    Next();
    return {};
  }

  // Up to {{end}}, {{else (of which only the word is taken) or the end of all.
  Result<Body> List() {
    const Depth depth(depth_);
    HULL_TRY(CheckDepth());
    Body body{std::make_unique<ListNode>(), Stop::kEof};
    for (;;) {
      const Token& token = Next();
      if (token.kind == TokenKind::kEnd) return body;
      if (token.kind == TokenKind::kText) {
        Node node;
        node.text = std::string(token.text);
        body.list->nodes.push_back(std::move(node));
        continue;
      }
      if (token.kind != TokenKind::kOpen) return Unexpected(token, "input");
      if (TakeWord("end")) {
        HULL_TRY(ExpectClose("end"));
        body.stop = Stop::kEnd;
        return body;
      }
      if (TakeWord("else")) {
        body.stop = Stop::kElse;
        return body;
      }
      HULL_ASSIGN(Node node, Action());
      body.list->nodes.push_back(std::move(node));
    }
  }

  Result<Node> Action() {
    Node node;
    if (TakeWord("if")) return Control(Node::Kind::kIf, "if");
    if (TakeWord("range")) return Control(Node::Kind::kRange, "range");
    if (TakeWord("with")) return Control(Node::Kind::kWith, "with");
    for (const auto& [word, kind] :
         {std::pair("break", Node::Kind::kBreak), std::pair("continue", Node::Kind::kContinue)}) {
      if (!TakeWord(word)) continue;
      if (ranges_ == 0)
        return Fail(ErrorCode::kInvalidArgument, "{{{{{}}}}} outside {{{{range}}}}", word);
      HULL_TRY(ExpectClose(word));
      node.kind = kind;
      return node;
    }
    for (const char* word : {"define", "block", "template"}) {
      if (TakeWord(word)) {
        return Fail(ErrorCode::kInvalidArgument, "{{{{{}}}}} is not supported by hull", word);
      }
    }
    node.kind = Node::Kind::kAction;
    HULL_ASSIGN(node.pipeline, ParsePipeline("command", TokenKind::kClose));
    return node;
  }

  // Behind the keyword, to its {{end}}.
  Result<Node> Control(Node::Kind kind, std::string_view word) {
    const Depth depth(depth_);
    HULL_TRY(CheckDepth());
    const size_t variables = variables_.size();
    Node node;
    node.kind = kind;
    HULL_ASSIGN(node.pipeline, ParsePipeline(word, TokenKind::kClose));
    if (kind == Node::Kind::kRange) ++ranges_;
    HULL_ASSIGN(Body body, List());
    if (kind == Node::Kind::kRange) --ranges_;
    node.body = std::move(body.list);
    if (body.stop == Stop::kElse) {
      HULL_ASSIGN(node.otherwise, Else(kind, word));
    } else if (body.stop == Stop::kEof) {
      return Fail(ErrorCode::kInvalidArgument, "unexpected EOF");
    }
    variables_.resize(variables);
    return node;
  }
  Result<std::unique_ptr<ListNode>> Else(Node::Kind kind, std::string_view word) {
    // {{else if x}}: an {{if x}} that shares its {{end}}.
    if (kind != Node::Kind::kRange && Peek().kind == TokenKind::kSpace && TakeWord(word)) {
      HULL_ASSIGN(Node nested, Control(kind, word));
      auto list = std::make_unique<ListNode>();
      list->nodes.push_back(std::move(nested));
      return list;
    }
    HULL_TRY(ExpectClose("else"));
    HULL_ASSIGN(Body body, List());
    if (body.stop == Stop::kEof) return Fail(ErrorCode::kInvalidArgument, "unexpected EOF");
    if (body.stop == Stop::kElse) {
      return Fail(ErrorCode::kInvalidArgument, "expected end; found {{{{else}}}}");
    }
    return std::move(body.list);
  }

  // `end`: kClose or kRightParen; it is taken.
  Result<Pipeline> ParsePipeline(std::string_view where, TokenKind end) {
    Pipeline pipeline;
    pipeline.position = PeekBehindSpaces().position;
    HULL_TRY(Declaration(where, pipeline));
    for (;;) {
      const Token& token = PeekBehindSpaces();
      if (token.kind == end) {
        if (pipeline.commands.empty()) {
          return Fail(ErrorCode::kInvalidArgument, "missing value for {}", where);
        }
        Next();
        return pipeline;
      }
      HULL_ASSIGN(CommandNode command, ParseCommand(where));
      const bool is_callable = command.operands[0].kind != Operand::Kind::kConstant &&
                               command.operands[0].kind != Operand::Kind::kDot;
      if (!pipeline.commands.empty() && !is_callable) {
        return Fail(ErrorCode::kInvalidArgument, "non executable command in pipeline stage {}",
                    pipeline.commands.size() + 1);
      }
      pipeline.commands.push_back(std::move(command));
    }
  }

  // "$x :=", "$x =", "$k, $v :=": when it is none, nothing is taken.
  Status Declaration(std::string_view where, Pipeline& pipeline) {
    const size_t start = at_;
    std::vector<std::string> names;
    while (PeekBehindSpaces().kind == TokenKind::kVariable) {
      names.emplace_back(Next().text);
      const TokenKind kind = PeekBehindSpaces().kind;
      if (kind == TokenKind::kComma) {
        Next();
        if (where != "range" || names.size() > 1) {
          return Fail(ErrorCode::kInvalidArgument, "too many declarations in {}", where);
        }
        if (PeekBehindSpaces().kind != TokenKind::kVariable) {
          return Fail(ErrorCode::kInvalidArgument, "range can only initialize variables");
        }
        continue;
      }
      if (kind != TokenKind::kDeclare && kind != TokenKind::kAssign) break;
      Next();
      pipeline.is_assignment = kind == TokenKind::kAssign;
      for (const std::string& name : names) {
        if (pipeline.is_assignment) HULL_TRY(CheckVariable(name));
      }
      pipeline.variables = names;
      // The value cannot name what it is for; Go lets it, with an older meaning.
      if (!pipeline.is_assignment) variables_.insert(variables_.end(), names.begin(), names.end());
      return {};
    }
    if (names.size() > 1) return Unexpected(Peek(), where);
    at_ = start;
    return {};
  }
  Status CheckVariable(std::string_view name) const {
    if (std::find(variables_.begin(), variables_.end(), name) != variables_.end()) return {};
    return Fail(ErrorCode::kInvalidArgument, "undefined variable \"{}\"", name);
  }

  Result<CommandNode> ParseCommand(std::string_view where) {
    CommandNode command;
    command.position = PeekBehindSpaces().position;
    for (;;) {
      HULL_ASSIGN(Operand operand, ParseOperand(where));
      command.operands.push_back(std::move(operand));
      command.source =
          EscapeControl(text_.substr(command.position, Peek().position - command.position));
      const bool spaced = Peek().kind == TokenKind::kSpace;
      const Token& token = PeekBehindSpaces();
      if (token.kind == TokenKind::kPipe) {
        Next();
        return command;
      }
      if (token.kind == TokenKind::kClose || token.kind == TokenKind::kRightParen) return command;
      if (!spaced) return Unexpected(token, "operand");
    }
  }

  Result<Operand> ParseOperand(std::string_view where) {
    const Depth depth(depth_);
    HULL_TRY(CheckDepth());
    const size_t start = Peek().position;
    HULL_ASSIGN(Operand operand, Term(where));
    if (Peek().kind == TokenKind::kField) {
      if (operand.kind == Operand::Kind::kConstant || operand.kind == Operand::Kind::kDot ||
          operand.kind == Operand::Kind::kFunction) {
        return Fail(ErrorCode::kInvalidArgument, "unexpected . after term \"{}\"",
                    EscapeControl(text_.substr(start, Peek().position - start)));
      }
      // Go's errors point at the second field.
      operand.position = Peek().position;
      while (Peek().kind == TokenKind::kField) {
        operand.fields.emplace_back(Next().text.substr(1));
      }
    }
    operand.source = EscapeControl(text_.substr(start, Peek().position - start));
    return operand;
  }

  Result<Operand> Term(std::string_view where) {
    const Token& token = Peek();
    Operand operand;
    operand.position = token.position;
    switch (token.kind) {
      case TokenKind::kIdentifier:
        return Word(std::move(operand));
      case TokenKind::kDot:
        break;
      case TokenKind::kField:
        operand.kind = Operand::Kind::kField;
        operand.fields.emplace_back(token.text.substr(1));
        break;
      case TokenKind::kVariable:
        operand.kind = Operand::Kind::kVariable;
        operand.name = std::string(token.text);
        HULL_TRY(CheckVariable(operand.name));
        break;
      case TokenKind::kNumber: {
        operand.kind = Operand::Kind::kConstant;
        HULL_ASSIGN(operand.constant, ParseNumber(token.text));
        break;
      }
      case TokenKind::kString:
      case TokenKind::kRawString: {
        operand.kind = Operand::Kind::kConstant;
        HULL_ASSIGN(const std::string text, Unquote(token.text));
        operand.constant = boost::json::string(text);
        break;
      }
      case TokenKind::kLeftParen: {
        Next();
        operand.kind = Operand::Kind::kPipeline;
        HULL_ASSIGN(Pipeline pipeline,
                    ParsePipeline("parenthesized pipeline", TokenKind::kRightParen));
        operand.pipeline = std::make_unique<Pipeline>(std::move(pipeline));
        return operand;
      }
      default:
        return Unexpected(token, where);
    }
    Next();
    return operand;
  }
  Result<Operand> Word(Operand operand) {
    const Token& token = Peek();
    if (IsKeyword(token.text)) return Unexpected(token, "operand");
    operand.kind = Operand::Kind::kConstant;
    if (token.text == "true" || token.text == "false") {
      operand.constant = token.text == "true";
    } else if (token.text != "nil") {
      operand.kind = Operand::Kind::kFunction;
      operand.name = std::string(token.text);
      if (FindFunction(operand.name) == nullptr) {
        return Fail(ErrorCode::kInvalidArgument, "function \"{}\" not defined", operand.name);
      }
    }
    Next();
    return operand;
  }

  std::string_view text_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  size_t depth_ = 0;
  size_t ranges_ = 0;
  std::vector<std::string> variables_ = {"$"};
};

}  // namespace

LineAndColumn Locate(std::string_view text, size_t position) {
  const std::string_view before = text.substr(0, position);
  const size_t newline = before.rfind('\n');
  return {1 + static_cast<size_t>(std::count(before.begin(), before.end(), '\n')),
          newline == std::string_view::npos ? position : position - newline - 1};
}

Result<std::unique_ptr<ListNode>> ParseTemplate(std::string_view text) {
  return Parser(text).Run();
}

}  // namespace hull::format
