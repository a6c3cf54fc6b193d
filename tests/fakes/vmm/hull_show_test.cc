// The commands that show containers, over the life of real ones (on a fake machine): ps, inspect,
// logs, events, and the completions of their names.
#include <gmock/gmock.h>

#include "tests/fakes/vmm/hull_on_fake.h"

namespace hull {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

class HullShowTest : public HullOnFake {
 protected:
  // `make` makes containers, `script` is run then; they are removed in the end.
  Ended With(const std::string& make, const std::string& script) const {
    return Shell("RUN='" + std::string("run --storage tmpfs") + "'\n" + make + "\n( " + script +
                 "\n)\ncode=$?; left=$($HULL ps -aq); [ -z \"$left\" ] || $HULL rm -f $left > "
                 "/dev/null; exit $code");
  }
};

constexpr char kTwo[] =
    "$HULL $RUN --name first --label tier=front test sh -c 'exit 3'\n"
    "$HULL $RUN -d --name second --label tier=back --label x test sleep 30 > /dev/null";

TEST_F(HullShowTest, PsListsWhatRunsAndAllOnDemand) {
  const Ended ended = With(
      kTwo,
      "$HULL ps; $HULL ps -aq | wc -l; $HULL ps --format '{{.Names}}'; $HULL container ls -l "
      "--format '{{.Names}} {{.State}}'; $HULL ps -n 5 --format '{{.Names}}:{{.Label \"tier\"}}'");
  const std::string lines = ended.out;
  EXPECT_THAT(
      lines,
      MatchesRegex("CONTAINER ID   IMAGE     COMMAND      CREATED                  STATUS        "
                   "          PORTS     NAMES\n"
                   "[0-9a-f]+   test      \"sleep 30\"   [^\n]+ ago +Up [^\n]+   second\n"
                   "2\nsecond\nsecond running\nsecond:back\nfirst:front\n"))
      << ended.err;
}
TEST_F(HullShowTest, PsFilters) {
  const Ended ended = With(kTwo, R"(
names() { echo "$*:" $($HULL ps -a --format '{{.Names}}' "$@"); }
names -f status=exited; names -f status=exited -f status=running; names -f exited=3; names -f exited=4
names -f label=tier; names -f label=tier=back -f label=x; names -f label=tier=back -f label=y
names -f 'name=^/?fi'; names -f name=nd; names -f ancestor=test; names -f ancestor=other
names -f before=second; names -f since=first; names -f id=$($HULL ps -q)
$HULL ps -f foo=bar; $HULL ps -f foo; $HULL ps -f status=odd; $HULL ps -f before=nope; echo $?)");
  EXPECT_EQ(ended.out, R"(-f status=exited: first
-f status=exited -f status=running: second first
-f exited=3: first
-f exited=4:
-f label=tier: second first
-f label=tier=back -f label=x: second
-f label=tier=back -f label=y:
-f name=^/?fi: first
-f name=nd: second
-f ancestor=test: second first
-f ancestor=other:
-f before=second: first
-f since=first: second
)" + ended.out.substr(ended.out.find("-f id=")));
  EXPECT_THAT(ended.out, HasSubstr(": second\n1\n"));
  EXPECT_THAT(ended.err, HasSubstr("invalid filter 'foo'"));
  EXPECT_THAT(ended.err, HasSubstr("bad format of filter (expected name=value)"));
  EXPECT_THAT(ended.err, HasSubstr("invalid filter 'status=odd'"));
  EXPECT_THAT(ended.err, HasSubstr("No such container: nope"));
}
TEST_F(HullShowTest, PsFiltersByWhatHullHasNot) {
  const Ended ended = With(kTwo, R"(
names() { echo "$*:" $($HULL ps -a --format '{{.Names}}' "$@"); }
names -f volume=x; names -f publish=80; names -f expose=80; names -f network=bridge; names -f health=healthy
names -f network=none; names -f network=bridge -f network=none; names -f health=none; names -f is-task=true
$HULL ps -f health=odd)");
  EXPECT_EQ(ended.out, R"(-f volume=x:
-f publish=80:
-f expose=80:
-f network=bridge:
-f health=healthy:
-f network=none: second first
-f network=bridge -f network=none: second first
-f health=none: second first
-f is-task=true:
)") << ended.err;
  EXPECT_THAT(ended.err, HasSubstr("invalid filter 'health=odd'"));
}
TEST_F(HullShowTest, PsMarksArgumentsWithBlanks) {
  const Ended ended = With("$HULL create --storage tmpfs test sh -c 'echo a' b > /dev/null",
                           "$HULL ps -a --no-trunc --format '{{.Command}}'");
  EXPECT_EQ(ended.out, "\"sh -c 'echo a' b\"\n") << ended.err;
}
TEST_F(HullShowTest, InspectHasDockersShapeAndHulls) {
  const Ended ended = With(kTwo, R"(
$HULL inspect -f '{{.Name}} {{.State.Status}} {{.State.ExitCode}} {{.Path}} {{.Args}}' first
$HULL inspect second | python3 -c '
import json, sys, os
[one] = json.load(sys.stdin)
state = one["State"]
print(list(one)[:6], state["Status"], state["Running"], state["ExitCode"], state["FinishedAt"])
print(os.readlink("/proc/%d/exe" % state["Pid"]) == os.path.realpath(os.environ["HULL_VMM"]))
print(one["Hull"]["VmmPid"] == state["Pid"], len(one["Hull"]["Layers"]), one["Config"]["Labels"])
print(os.path.exists(one["LogPath"]), os.path.exists(one["Hull"]["RunDirectory"]), one["HostConfig"]["AutoRemove"])
'
$HULL inspect --format '{{index .Config.Labels "tier"}}' first second
$HULL inspect --format '{{.Nope}}' first; echo $?
$HULL inspect first nope test --format '{{.Id}}' | wc -l; echo ${PIPESTATUS[0]}
$HULL inspect --type image first; echo $?; $HULL container inspect test; echo $?
$HULL image inspect -f '{{index .RepoTags 0}}' test; $HULL inspect -f '{{' first; echo $?)");
  EXPECT_EQ(ended.out, R"(/first exited 3 sh [-c exit 3]
['Id', 'Created', 'Path', 'Args', 'State', 'Image'] running True 0 0001-01-01T00:00:00Z
True
True 1 {'tier': 'back', 'x': ''}
True True False
front
back

1
2
1
[]
1
[]
1
test:latest
64
)") << ended.err;
  EXPECT_THAT(ended.err,
              HasSubstr("template parsing error: template: :1:2: executing \"\" at <.Nope>: "
                        "map has no entry for key \"Nope\""));
  EXPECT_THAT(ended.err, HasSubstr("No such object: nope"));
  EXPECT_THAT(ended.err, HasSubstr("No such image: first"));
  EXPECT_THAT(ended.err, HasSubstr("No such container: test"));
}
TEST_F(HullShowTest, LogsOutliveTheSandboxAndKeepTheStreamsApart) {
  const Ended ended = With(
      "$HULL $RUN --name talks test sh -c 'echo one; echo oops >&2; sleep 0.2; printf "
      "\"two\\nthree\\nfour\"' "
      "> /dev/null 2>&1",
      R"($HULL logs talks > o 2> e; cat o; echo; cat e; echo --
$HULL logs --tail 2 talks 2> /dev/null; echo; $HULL logs -n 0 talks; echo --
$HULL logs -t talks 2>&1 | grep -c '^20[0-9-]*T[0-9:.]*Z '
$HULL logs --since 1h talks 2>&1 | wc -l; $HULL logs --until 1h talks 2>&1 | wc -l
$HULL logs --since 2099-01-01 talks; $HULL logs -f talks 2> /dev/null | tail -n 1; echo
$HULL logs --since nonsense talks; echo $?; $HULL logs nope; echo $?)");
  EXPECT_EQ(ended.out, "one\ntwo\nthree\nfour\noops\n--\nthree\nfour\n--\n5\n4\n0\nfour\n1\n1\n")
      << ended.err;
  EXPECT_THAT(ended.err, HasSubstr("failed to parse value as time or duration: \"nonsense\""));
  EXPECT_THAT(ended.err, HasSubstr("No such container: nope"));
}
TEST_F(HullShowTest, LogsFollowToTheLastLine) {
  // Across many rotations, and of a container that is removed as soon as it has ended.
  for (const char* flags : {"", "--rm", "--log-opt max-size=20k --log-opt max-file=9"}) {
    const Ended ended = With(
        std::string("$HULL $RUN -d ") + flags +
            " --name counts test sh -c 'sleep 0.3; for i in $(seq 1 2000); do echo line $i; done; "
            "sleep 0.2; printf end' > /dev/null",
        "$HULL logs -f counts | md5sum; (seq -f 'line %g' 1 2000; printf end) | md5sum");
    EXPECT_EQ(ended.out.substr(0, 32), ended.out.substr(36, 32)) << flags << ended.err;
    EXPECT_EQ(ended.err, "");
  }
}
TEST_F(HullShowTest, LogsEndWhenTheReaderGoes) {
  const Ended ended = With(
      "$HULL $RUN -d --name quiet test sh -c 'echo one; exec sleep 30' > /dev/null",
      "sleep 0.3; SECONDS=0; $HULL logs -f quiet | head -n 1; [ $SECONDS -lt 10 ] && echo soon");
  EXPECT_EQ(ended.out, "one\nsoon\n") << ended.err;
}
TEST_F(HullShowTest, EventsAreToldAsTheyComeAndAfterwards) {
  const Ended ended = With(
      "$HULL $RUN --name before test true",
      R"(timeout 30 $HULL events --filter event=die --format '{{.Actor.Attributes.name}} {{.Actor.Attributes.exitCode}}' > told &
sleep 0.3; $HULL $RUN --rm --name now test sh -c 'exit 4'
for i in $(seq 50); do [ -s told ] && break; sleep 0.1; done; kill $!; wait; cat told
$HULL events --since 1h --until 0s --filter container=before --format '{{.Action}}' | tr '\n' ' '
$HULL events --since 1h --until 0s --filter type=container --filter event=start --format json | head -n 1 |
  python3 -c 'import json, sys; e = json.load(sys.stdin); print(e["status"], e["from"], e["Actor"]["Attributes"]["name"])'
$HULL events --since 1h --until 0s --filter container=now | sed 's/ .*die [0-9a-f]*//' | tail -n 1 | cut -c 31-80
$HULL events --until 0s | wc -l)");
  EXPECT_THAT(ended.out, testing::StartsWith("now 4\ncreate attach start die ")) << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("start test before\n"));
  EXPECT_THAT(ended.out, testing::EndsWith("0\n"));
}
TEST_F(HullShowTest, EventsTellOfWhatIsDoneInAContainer) {
  const Ended ended = With(
      "$HULL $RUN -d --name busy test sleep 30 > /dev/null",
      R"($HULL exec busy sh -c 'exit 7'; $HULL exec -d busy true; $HULL exec busy nosuch 2> /dev/null
echo x > f; $HULL cp -q f busy:/g; $HULL cp -q busy:/g h
$HULL events --since 1h --until 0s --filter container=busy --format '{{.Action}} {{.Actor.Attributes.exitCode}}' |
  sed 's/ <no value>//'
$HULL events --since 1h --until 0s --filter event=exec_start | wc -l
$HULL events --since 1h --until 0s --filter event=exec_die --format '{{len .Actor.Attributes.execID}}')");
  EXPECT_EQ(ended.out, R"(create
start
exec_create: sh -c exit 7
exec_start: sh -c exit 7
exec_die 7
exec_create: true
exec_start: true
extract-to-dir
archive-path
2
64
)") << ended.err;
}
TEST_F(HullShowTest, NamesAreCompleted) {
  const Ended ended = With(kTwo, R"($HULL __complete -- logs ''; $HULL __complete -- stop ''
$HULL __complete -- inspect te; $HULL __complete -- run te; $HULL __complete -- logs se)");
  EXPECT_EQ(ended.out,
            "second\ttest\nfirst\ttest\n:none\nsecond\ttest\n:none\ntest:latest\n:none\n"
            "test:latest\n:none\nsecond\ttest\n:none\n")
      << ended.err;
}

}  // namespace
}  // namespace hull
