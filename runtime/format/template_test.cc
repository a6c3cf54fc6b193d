// What is expected of a template was taken from Go's text/template with docker's functions, run
// over the same document; where hull differs on purpose a table of its own says so.
#include "runtime/format/template.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

namespace hull::format {
namespace {

constexpr std::string_view kPrefix = "template parsing error: ";

// Labels is a map of strings, as docker has it; all else is what JSON makes of it.
constexpr char kDocument[] = R"json(
{"Id":"abc","Name":"/web","Empty":"","Count":3,"Zero":0,"Negative":-7,"Big":9007199254740993,"Ratio":2.5,"Million":1000000.0,"Tiny":0.000001,"Yes":true,"No":false,"Nothing":null,"Args":["a","b c","d"],"Numbers":[3,1,2],"None":[],"State":{"Status":"running","Pid":42},"Config":{"Labels":{"b":"2","a":"1"},"Env":["A=1","B=2"]},"Mixed":[1,"x",null,true],"Unicode":"h\u00e9llo","Ports":{}}
)json";

struct Case {
  const char* text;
  const char* expected;
};

std::string Shown(std::string_view text) {
  static const boost::json::value* const document =
      new boost::json::value(boost::json::parse(kDocument));
  const Result<Template> parsed = Template::Parse(text);
  if (!parsed) return parsed.error().ToString();
  const Result<std::string> shown = parsed->Execute(*document);
  return shown ? *shown : shown.error().ToString();
}

constexpr Case kGood[] = {
    {"plain text", "plain text"},
    {"{{.Id}}", "abc"},
    {"{{ .Id }}", "abc"},
    {"{{.State.Status}} {{.State.Pid}}", "running 42"},
    {"{{.}}",
     "map[Args:[a b c d] Big:9007199254740993 Config:map[Env:[A=1 B=2] Labels:map[a:1 b:2]] "
     "Count:3 Empty: Id:abc Million:1e+06 Mixed:[1 x <nil> true] Name:/web Negative:-7 No:false "
     "None:[] Nothing:<nil> Numbers:[3 1 2] Ports:map[] Ratio:2.5 State:map[Pid:42 Status:running] "
     "Tiny:1e-06 Unicode:h\303\251llo Yes:true Zero:0]"},
    {"{{.State}}", "map[Pid:42 Status:running]"},
    {"{{.Args}} {{.Numbers}} {{.None}} {{.Mixed}}", "[a b c d] [3 1 2] [] [1 x <nil> true]"},
    {"{{.Nothing}}|{{.Yes}}|{{.No}}|{{.Ratio}}|{{.Million}}|{{.Tiny}}|{{.Big}}|{{.Negative}}",
     "<no value>|true|false|2.5|1e+06|1e-06|9007199254740993|-7"},
    {"{{json .Args}} {{json .Nothing}} {{json .Yes}} {{json .Ratio}} {{json .Name}}",
     "[\"a\",\"b c\",\"d\"] null true 2.5 \"/web\""},
    {"{{range .Args}}[{{.}}]{{end}}", "[a][b c][d]"},
    {"{{range $i, $a := .Args}}{{$i}}={{$a}};{{end}}", "0=a;1=b c;2=d;"},
    {"{{range $a := .Args}}{{$a}},{{end}}", "a,b c,d,"},
    {"{{range $k, $v := .Config.Labels}}{{$k}}:{{$v}} {{end}}", "a:1 b:2 "},
    {"{{range .Config.Labels}}{{.}}{{end}}", "12"},
    {"{{range .None}}x{{else}}none{{end}}", "none"},
    {"{{range .Nothing}}x{{else}}none{{end}}", "none"},
    {"{{range 3}}{{.}}{{end}}", "012"},
    {"{{range $i := 3}}{{$i}}{{end}}", "012"},
    {"{{range .Args}}{{if eq . \"b c\"}}{{continue}}{{end}}{{.}}{{end}}", "ad"},
    {"{{range .Args}}{{if eq . \"b c\"}}{{break}}{{end}}{{.}}{{end}}", "a"},
    {"{{if .Yes}}y{{end}}{{if .No}}n{{else}}N{{end}}", "yN"},
    {"{{if .Zero}}0{{else if .Empty}}e{{else if .Count}}c{{else}}?{{end}}", "c"},
    {"{{if .None}}1{{else}}2{{end}}{{if .Args}}3{{end}}{{if .Nothing}}4{{end}}{{if "
     ".Ports}}5{{end}}",
     "23"},
    {"{{with .State}}{{.Status}} {{$.Id}}{{end}}", "running abc"},
    {"{{with .Empty}}x{{else}}y{{end}}", "y"},
    {"{{with .Empty}}x{{else with .Id}}{{.}}{{end}}", "abc"},
    {"{{with $x := .Id}}{{$x}}{{.}}{{end}}", "abcabc"},
    {"{{$x := .Id}}{{$x}}{{$x = \"new\"}}{{$x}}", "abcnew"},
    {"{{$x := 1}}{{if true}}{{$x = 2}}{{$x := 3}}{{$x}}{{end}}{{$x}}", "32"},
    {"{{$s := .State}}{{$s.Status}}", "running"},
    {"{{len .Args}} {{len .Id}} {{len .State}} {{len .None}}", "3 3 2 0"},
    {"{{index .Args 1}} {{index .State \"Status\"}} {{index .Config.Labels \"a\"}} {{index "
     ".Config.Env 0}}",
     "b c running 1 A=1"},
    {"{{index .Config.Labels \"nope\"}}|{{index .State \"nope\"}}", "|<no value>"},
    {"{{index .Id 0}}", "97"},
    {"{{slice .Id 1}} {{slice .Id 1 2}} {{slice .Args 1 3}} {{slice .Args}}",
     "bc b [b c d] [a b c d]"},
    {"{{split \"a,b,c\" \",\"}} {{len (split \"a,b\" \",\")}} {{split \"abc\" \"\"}} {{split \"\" "
     "\",\"}}",
     "[a b c] 2 [a b c] []"},
    {"{{join .Args \"-\"}} {{join (split \"x y\" \" \") \"+\"}}", "a-b c-d x+y"},
    {"{{lower \"ABC\"}} {{upper .Id}} {{title \"hello wide world\"}} {{title .Name}}",
     "abc ABC Hello Wide World /Web"},
    {"{{.Id | upper | lower | printf \"%s!\"}}", "abc!"},
    {"{{pad .Id 2 3}}| {{pad \"\" 2 3}}|", "  abc   | |"},
    {"{{truncate .Id 2}} {{truncate .Id 9}} {{truncate .Id 0}}", "ab abc "},
    {"{{print 1 2 \"x\" 3 4}} {{print \"a\" \"b\"}} {{print nil}} {{print}}", "1 2x3 4 ab <nil> "},
    {"{{println \"a\" 1 true}}", "a 1 true\n"},
    {"{{printf \"%s is %d\" .Id .Count}}", "abc is 3"},
    {"{{printf \"%v %+v %T %T %T %T %T\" .Id .Count .Id .Count .Ratio .Yes .State}}",
     "abc 3 string int float64 bool map[string]interface {}"},
    {"{{printf \"%5d|%-5d|%05d|%+d|% d|%x|%X|%o|%b|%c|%U|%#x|%q\" 42 42 42 42 42 255 255 8 5 65 "
     "0x1F600 255 65}}",
     "   42|42   |00042|+42| 42|ff|FF|10|101|A|U+1F600|0xff|'A'"},
    {"{{printf \"%10s|%-10s|%.2s|%q|%x|%X|%5.1s|\" .Id .Id .Id .Id .Id .Id .Id}}",
     "       abc|abc       |ab|\"abc\"|616263|616263|    a|"},
    {"{{printf \"%f %.2f %8.3f %e %g %v %G\" 3.14159 3.14159 3.14159 3.14159 3.14159 3.14159 "
     "3.14159}}",
     "3.141590 3.14    3.142 3.141590e+00 3.14159 3.14159 3.14159"},
    {"{{printf \"%t %v %5t\" .Yes .No .Yes}}", "true false  true"},
    {"{{printf \"%d\" \"x\"}} {{printf \"%s\" 5}} {{printf \"%d\"}} {{printf \"x\" 1}} {{printf "
     "\"%\"}} {{printf \"%z\" 1}} {{printf \"%!\"}}",
     "%!d(string=x) %!s(int=5) %!d(MISSING) x%!(EXTRA int=1) %!(NOVERB) %!z(int=1) %!!(MISSING)"},
    {"{{printf \"%d %s\" 1}} {{printf \"%%\"}} {{printf \"%s\" .Args}} {{printf \"%q\" .Args}} "
     "{{printf \"%v\" .Config.Labels}} {{printf \"%d\" .Numbers}}",
     "1 %!s(MISSING) % [a b c d] [\"a\" \"b c\" \"d\"] map[a:1 b:2] [3 1 2]"},
    {"{{printf \"%*d|%-*d|\" 5 42 4 7}}", "   42|7   |"},
    {"{{printf \"%6.2f%%\" 12.345}}", " 12.35%"},
    {"{{printf \"%s\" nil}} {{printf \"%v\" nil}} {{printf \"%d\" nil}}",
     "%!s(<nil>) <nil> %!d(<nil>)"},
    {"{{printf \"%.3d|%+.2f|%08.2f|%-8dX\" 5 1.5 2.5 3}}", "005|+1.50|00002.50|3       X"},
    {"{{printf \"%s|%10s|%-8sX\" .Unicode .Unicode .Unicode}}",
     "h\303\251llo|     h\303\251llo|h\303\251llo   X"},
    {"{{eq .Id \"abc\"}} {{eq .Count 3}} {{eq .Count 1 2 3}} {{ne .Id \"x\"}} {{eq .Yes true}} "
     "{{eq .Ratio 2.5}}",
     "true true true true true true"},
    {"{{eq .Nothing nil}} {{eq .Id nil}}", "true false"},
    {"{{lt 1 2}} {{le 2 2}} {{gt \"b\" \"a\"}} {{ge 1.5 2.5}} {{lt .Count 5}}",
     "true true true false true"},
    {"{{and .Yes .Id}} {{and .No .Id}} {{or .No .Id}} {{or .No .Empty}} {{not .Yes}} {{not .No}}",
     "abc false abc  false true"},
    {"{{or .Yes (index .Args 99)}}", "true"},
    {"{{and .No (index .Args 99)}}", "false"},
    {"{{if and (eq .Id \"abc\") (gt .Count 2)}}both{{end}}", "both"},
    {"{{if or (eq .Id \"x\") (not .No)}}some{{end}}", "some"},
    {"a {{- .Id -}} b", "aabcb"},
    {"a  {{- \" x \" -}}  b", "a x b"},
    {"a{{/* comment */}}b", "ab"},
    {"a {{- /* comment */ -}} b", "ab"},
    {"{{- .Id -}}", "abc"},
    {"{{\"a\\tb\\n\\\"q\\\" \\u00e9 \\x41 \\101\"}}", "a\tb\n\"q\" \303\251 A A"},
    {"{{`raw \\n \"x\"`}}", "raw \\n \"x\""},
    {"{{'a'}} {{'\\n'}} {{0x10}} {{0b11}} {{0o17}} {{017}} {{1_000}} {{1e3}} {{1.5}} {{-3}} {{+4}} "
     "{{.5}}",
     "97 10 16 3 15 15 1000 1000 1.5 -3 4 0.5"},
    {"{{true}} {{false}}", "true false"},
    {"line one", "line one"},
    {"{{.Id}} }} {{\"}}\"}}", "abc }} }}"},
    {"{{(.State).Status}} {{(index .Args 0)}} {{(printf \"%s\" .Id) | upper}}", "running a ABC"},
    {"{{.Id | }}", "abc"},
    {"{{$}} ",
     "map[Args:[a b c d] Big:9007199254740993 Config:map[Env:[A=1 B=2] Labels:map[a:1 b:2]] "
     "Count:3 Empty: Id:abc Million:1e+06 Mixed:[1 x <nil> true] Name:/web Negative:-7 No:false "
     "None:[] Nothing:<nil> Numbers:[3 1 2] Ports:map[] Ratio:2.5 State:map[Pid:42 Status:running] "
     "Tiny:1e-06 Unicode:h\303\251llo Yes:true Zero:0] "},
    {"{{.State.Status|upper}}", "RUNNING"},
    {"{{ .Id|printf \"%s-%s\" \"x\" }}", "x-abc"},
    {"{{\"quoted\"|printf \"%q\"}}", "\"quoted\""},
    {"{{range .Args}}{{.}}{{\"\\n\"}}{{end}}", "a\nb c\nd\n"},
    {"{{range $k, $v := .State}}{{$k}}={{$v}} {{end}}", "Pid=42 Status=running "},
    {"{{with index .Config.Labels \"a\"}}{{.}}{{end}}", "1"},
    {"{{if (len .Args) | eq 3}}three{{end}}", "three"},
    {"{{$x := \"a\"}}{{range .Args}}{{$x}}{{$x = .}}{{end}}{{$x}}", "aab cd"},
    {"{{range $i, $e := .Args}}{{if $i}}, {{end}}{{$e}}{{end}}", "a, b c, d"},
    {"{{ range .Args -}} {{.}} {{- end }}", "ab cd"},
    {"{{with .State}}{{with .Status}}{{.}}{{end}}{{.Pid}}{{end}}", "running42"},
    {"{{.Unicode}} {{len .Unicode}} {{upper \"abc\"}} {{printf \"%q\" .Unicode}}",
     "h\303\251llo 6 ABC \"h\303\251llo\""},
    {" - {{.}}",
     " - map[Args:[a b c d] Big:9007199254740993 Config:map[Env:[A=1 B=2] Labels:map[a:1 b:2]] "
     "Count:3 Empty: Id:abc Million:1e+06 Mixed:[1 x <nil> true] Name:/web Negative:-7 No:false "
     "None:[] Nothing:<nil> Numbers:[3 1 2] Ports:map[] Ratio:2.5 State:map[Pid:42 Status:running] "
     "Tiny:1e-06 Unicode:h\303\251llo Yes:true Zero:0]"},
    {"{{if .Yes}}\nx\n{{end}}", "\nx\n"},
    {"a\n{{- .Id}}\n b", "aabc\n b"},
    {"{{.Id\n}}", "abc"},
    {"{{/* a\nb */}}c", "c"},
    {"{{range .Args}}\n{{.}}{{end}}", "\na\nb c\nd"},
    {"", ""},
    {"}}", "}}"},
    {"{", "{"},
    {"{{-3}}", "-3"},
    {"{{- 3}}", "3"},
    {"{{3 -}}", "3"},
};

// In Go's words.
constexpr Case kWrong[] = {
    {"{{range .Yes}}x{{end}}",
     "template: :1:8: executing \"\" at <.Yes>: range can't iterate over true"},
    {"{{range .Id}}x{{end}}",
     "template: :1:8: executing \"\" at <.Id>: range can't iterate over abc"},
    {"{{$x}}", "template: :1: undefined variable \"$x\""},
    {"{{$x := }}", "template: :1: missing value for command"},
    {"{{len .Count}}",
     "template: :1:2: executing \"\" at <len .Count>: error calling len: len of type int"},
    {"{{index .Args 9}}",
     "template: :1:2: executing \"\" at <index .Args 9>: error calling index: index out of range: "
     "9"},
    {"{{index .Args -1}}",
     "template: :1:2: executing \"\" at <index .Args -1>: error calling index: index out of range: "
     "-1"},
    {"{{index .Args \"x\"}}",
     "template: :1:2: executing \"\" at <index .Args \"x\">: error calling index: cannot index "
     "slice/array with type string"},
    {"{{index .State 1}}",
     "template: :1:2: executing \"\" at <index .State 1>: error calling index: value has type int; "
     "should be string"},
    {"{{index .Count 0}}",
     "template: :1:2: executing \"\" at <index .Count 0>: error calling index: can't index item of "
     "type int"},
    {"{{slice .Id 2 1}}",
     "template: :1:2: executing \"\" at <slice .Id 2 1>: error calling slice: invalid slice index: "
     "2 > 1"},
    {"{{slice .Id 0 9}}",
     "template: :1:2: executing \"\" at <slice .Id 0 9>: error calling slice: index out of range: "
     "9"},
    {"{{slice .Id 0 1 2}}",
     "template: :1:2: executing \"\" at <slice .Id 0 1 2>: error calling slice: cannot 3-index "
     "slice a string"},
    {"{{printf 5}}", "template: :1:9: executing \"\" at <5>: expected string; found 5"},
    {"{{eq .Count \"3\"}}",
     "template: :1:2: executing \"\" at <eq .Count \"3\">: error calling eq: incompatible types "
     "for comparison: int and string"},
    {"{{eq .Id}}",
     "template: :1:2: executing \"\" at <eq .Id>: error calling eq: missing argument for "
     "comparison"},
    {"{{eq}}",
     "template: :1:2: executing \"\" at <eq>: wrong number of args for eq: want at least 1 got 0"},
    {"{{lt true false}}",
     "template: :1:2: executing \"\" at <lt true false>: error calling lt: invalid type for "
     "comparison"},
    {"{{lt 1 \"a\"}}",
     "template: :1:2: executing \"\" at <lt 1 \"a\">: error calling lt: incompatible types for "
     "comparison: int and string"},
    {"{{and}}",
     "template: :1:2: executing \"\" at <and>: wrong number of args for and: want at least 1 got "
     "0"},
    {"{{ /* not a comment */ }}", "template: :1: unexpected \"/\" in command"},
    {"{{/* unclosed", "template: :1: unclosed comment"},
    {"{{1x}}", "template: :1: bad number syntax: \"1x\""},
    {"{{99999999999999999999}}", "template: :1: integer overflow: \"99999999999999999999\""},
    {"{{nil}}", "template: :1:2: executing \"\" at <nil>: nil is not a command"},
    {"{{.Nope}}", "template: :1:2: executing \"\" at <.Nope>: map has no entry for key \"Nope\""},
    {"{{.State.Nope}}",
     "template: :1:8: executing \"\" at <.State.Nope>: map has no entry for key \"Nope\""},
    {"{{.Id.Foo}}",
     "template: :1:5: executing \"\" at <.Id.Foo>: can't evaluate field Foo in type interface {}"},
    {"{{.Nothing.Foo}}",
     "template: :1:10: executing \"\" at <.Nothing.Foo>: nil pointer evaluating interface {}.Foo"},
    {"{{.Count.Foo.Bar}}",
     "template: :1:8: executing \"\" at <.Count.Foo.Bar>: can't evaluate field Foo in type "
     "interface {}"},
    {"{{.State.Status.Very.Long.Path.Indeed}}",
     "template: :1:8: executing \"\" at <.State.Status.Very.Long.Path.Indeed>: can't evaluate "
     "field Very in type interface {}"},
    {"{{if}}x{{end}}", "template: :1: missing value for if"},
    {"{{if .Yes}}", "template: :1: unexpected EOF"},
    {"{{end}}", "template: :1: unexpected {{end}}"},
    {"{{else}}", "template: :1: unexpected {{else}}"},
    {"{{range .Args}}{{else}}{{else}}{{end}}", "template: :1: expected end; found {{else}}"},
    {"{{.Id", "template: :1: unclosed action"},
    {"{{.Id}", "template: :1: bad character U+007D '}'"},
    {"{{foo .Id}}", "template: :1: function \"foo\" not defined"},
    {"{{.Id | foo}}", "template: :1: function \"foo\" not defined"},
    {"{{.Id | 5}}", "template: :1: non executable command in pipeline stage 2"},
    {"{{5 | .Id}}",
     "template: :1:6: executing \"\" at <.Id>: Id is not a method but has arguments"},
    {"{{.Id .Name}}",
     "template: :1:2: executing \"\" at <.Id>: Id is not a method but has arguments"},
    {"{{.Id | .Name}}",
     "template: :1:8: executing \"\" at <.Name>: Name is not a method but has arguments"},
    {"{{\"a\" \"b\"}}",
     "template: :1:2: executing \"\" at <\"a\">: can't give argument to non-function \"a\""},
    {"{{(.Id}}", "template: :1: unclosed left paren"},
    {"{{.Id)}}", "template: :1: unexpected right paren"},
    {"{{()}}", "template: :1: missing value for parenthesized pipeline"},
    {"{{| .Id}}", "template: :1: unexpected \"|\" in command"},
    {"{{@}}", "template: :1: unexpected \"@\" in command"},
    {"{{.Id.}}", "template: :1: unexpected <.> in operand"},
    {"{{. Id}}", "template: :1: function \"Id\" not defined"},
    {"{{..Id}}", "template: :1: unexpected . after term \".\""},
    {"{{\"a", "template: :1: unterminated quoted string"},
    {"{{`a", "template: :1: unterminated raw quoted string"},
    {"{{\"a\\q\"}}", "template: :1: invalid syntax"},
    {"{{upper}}",
     "template: :1:2: executing \"\" at <upper>: wrong number of args for upper: want 1 got 0"},
    {"{{upper .Id .Id}}",
     "template: :1:2: executing \"\" at <upper>: wrong number of args for upper: want 1 got 2"},
    {"{{upper .Count}}",
     "template: :1:8: executing \"\" at <.Count>: wrong type for value; expected string; got int"},
    {"{{upper 5}}", "template: :1:8: executing \"\" at <5>: expected string; found 5"},
    {"{{not}}",
     "template: :1:2: executing \"\" at <not>: wrong number of args for not: want 1 got 0"},
    {"{{len}}",
     "template: :1:2: executing \"\" at <len>: wrong number of args for len: want 1 got 0"},
    {"{{join .Count \",\"}}",
     "template: :1:7: executing \"\" at <.Count>: wrong type for value; expected []string; got "
     "int"},
    {"{{range $a, $b, $c := .Args}}{{end}}", "template: :1: too many declarations in range"},
    {"{{$a, $b := .Args}}", "template: :1: too many declarations in command"},
    {"{{break}}", "template: :1: {{break}} outside {{range}}"},
    {"{{- range .Args}}", "template: :1: unexpected EOF"},
    {"{{- end}}", "template: :1: unexpected {{end}}"},
    {"line\n{{.Nope}}",
     "template: :2:2: executing \"\" at <.Nope>: map has no entry for key \"Nope\""},
    {"line\n  {{.State.Nope}}",
     "template: :2:10: executing \"\" at <.State.Nope>: map has no entry for key \"Nope\""},
    {"x\n{{foo}}", "template: :2: function \"foo\" not defined"},
    {"{{}}", "template: :1: missing value for command"},
    {"{{ }}", "template: :1: missing value for command"},
    {"{{", "template: :1: unclosed action"},
    {"{{{.Id}}}", "template: :1: unexpected \"{\" in command"},
    {"{{- }}", "template: :1: missing value for command"},
};

// hull's own words, or what it leaves out.
constexpr Case kOurs[] = {
    {"{{$x = 1}}", "template: :1: undefined variable \"$x\""},
    {"{{.Args | join \",\"}}",
     "template: :1:15: executing \"\" at <\",\">: wrong type for value; expected []string; got "
     "string"},
    {"{{eq .Args .Args}}",
     "template: :1:2: executing \"\" at <eq .Args .Args>: error calling eq: non-comparable type [a "
     "b c d]: []interface {}"},
    {"{{'ab'}}", "template: :1: bad number syntax: \"'ab'\""},
    {"{{upper .Nothing}}",
     "template: :1:8: executing \"\" at <.Nothing>: invalid value; expected string"},
    {"{{upper nil}}", "template: :1:8: executing \"\" at <nil>: invalid value; expected string"},
    {"{{define \"x\"}}{{end}}", "template: :1: {{define}} is not supported by hull"},
    {"{{-}}", "template: :1: unexpected \"-\" in command"},
    {"{{3-}}", "template: :1: unexpected \"-\" in operand"},
};

TEST(Template, GivesWhatGoGives) {
  for (const Case& one : kGood) EXPECT_EQ(Shown(one.text), one.expected) << one.text;
}
TEST(Template, IsWrongInGosWords) {
  for (const Case& one : kWrong) {
    EXPECT_EQ(Shown(one.text), std::string(kPrefix) + one.expected) << one.text;
  }
}
TEST(Template, DiffersFromGoOnPurpose) {
  for (const Case& one : kOurs) {
    EXPECT_EQ(Shown(one.text), std::string(kPrefix) + one.expected) << one.text;
  }
}
TEST(Template, JsonKeepsTheOrderOfFields) {
  EXPECT_EQ(Shown("{{json .State}}"), R"({"Status":"running","Pid":42})");
  EXPECT_EQ(Shown("{{.Config.Env | json}}"), R"(["A=1","B=2"])");
}
TEST(Template, EmptyListsOfDockersMayBeNull) {
  EXPECT_EQ(Shown("{{len .Nothing}}|{{join .Nothing \",\"}}|{{range .Nothing}}x{{end}}"), "0||");
}
TEST(Template, LabelsThatAreMissingAreNoMistake) {
  EXPECT_EQ(Shown("{{.Config.Labels.a}} {{.Config.Labels.nope}}"), "1 <no value>");
}
TEST(Template, LabelIsLookedUp) {
  const boost::json::value row = {{"ID", "1"}};
  const boost::json::object labels = {{"com.example.some-name", "x"}};
  const Template text = *Template::Parse("{{.Label \"com.example.some-name\"}}|{{.Label \"no\"}}");
  EXPECT_EQ(*text.Execute(row, {Template::Purpose::kValues, &labels}), "x|");
  EXPECT_EQ(*text.Execute(row, {Template::Purpose::kHeadings, &labels}), "some name|no");
  EXPECT_FALSE(text.Execute(row));
}

std::string Times(std::string_view text, size_t count) {
  std::string all;
  for (size_t i = 0; i < count; ++i) all += text;
  return all;
}

TEST(TemplateLimits, DeepNestingIsRefused) {
  constexpr size_t kDeep = 10'000;
  for (const std::string& text : {Times("{{if .Yes}}", kDeep) + Times("{{end}}", kDeep),
                                  "{{" + Times("(", kDeep) + ".Id" + Times(")", kDeep) + "}}",
                                  Times("{{if .No}}{{else if .No}}", 3000),
                                  "{{if .No}}" + Times("{{else if .No}}", 3000) + "{{end}}"}) {
    EXPECT_FALSE(Template::Parse(text)) << text.substr(0, 30);
  }
  EXPECT_EQ(Shown(Times("{{if .Yes}}", 20) + "x" + Times("{{end}}", 20)), "x");
}
TEST(TemplateLimits, ALongTextIsRefused) {
  EXPECT_FALSE(Template::Parse(std::string(Template::kMaxTextBytes + 1, 'x')));
  EXPECT_EQ(Shown(std::string(Template::kMaxTextBytes, 'x')).size(), Template::kMaxTextBytes);
}
TEST(TemplateLimits, TooManyStepsAreRefused) {
  const std::string loops = Times("{{range 2000}}", 4) + Times("{{end}}", 4);
  EXPECT_NE(Shown(loops).find("steps"), std::string::npos) << Shown(loops);
  EXPECT_NE(Shown("{{range 999999999999}}{{end}}").find("steps"), std::string::npos);
}
TEST(TemplateLimits, TooMuchOutputIsRefused) {
  EXPECT_NE(Shown("{{range 100000}}" + std::string(1000, 'x') + "{{end}}").find("MiB"),
            std::string::npos);
  EXPECT_NE(Shown("{{printf \"%999999999d\" 1}}").find("width"), std::string::npos);
  EXPECT_NE(Shown("{{pad .Id 99999999999 1}}").find("out of range"), std::string::npos);
  // Doubles each time.
  EXPECT_NE(Shown("{{$x := \"0123456789\"}}{{range 100}}{{$x = print $x $x}}{{end}}").find("MiB"),
            std::string::npos);
}

}  // namespace
}  // namespace hull::format
