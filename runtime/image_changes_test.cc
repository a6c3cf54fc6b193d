#include "runtime/image_changes.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace hull {
namespace {

std::string Applied(std::string_view before, std::string_view instruction) {
  boost::json::value config = boost::json::parse(before);
  const Status status = ApplyImageChange(config.get_object(), instruction);
  return status ? boost::json::serialize(config) : "refused: " + status.error().message();
}

TEST(ApplyImageChange, EachInstruction) {
  EXPECT_EQ(Applied("{}", R"(CMD ["a", "b c"])"), R"({"Cmd":["a","b c"]})");
  EXPECT_EQ(Applied("{}", "cmd a b"), R"({"Cmd":["/bin/sh","-c","a b"]})");
  EXPECT_EQ(Applied(R"({"Cmd":["x"]})", "ENTRYPOINT []"), R"({"Cmd":["x"],"Entrypoint":[]})");
  EXPECT_EQ(Applied(R"({"Env":["A=1","B=2"]})", R"(ENV B=3 C="x y")"),
            R"({"Env":["A=1","B=3","C=x y"]})");
  EXPECT_EQ(Applied("{}", "ENV NAME the rest of it"), R"({"Env":["NAME=the rest of it"]})");
  EXPECT_EQ(Applied("{}", "LABEL a=b 'c d'=e"), R"({"Labels":{"a":"b","c d":"e"}})");
  EXPECT_EQ(Applied("{}", "EXPOSE 80 53/udp"), R"({"ExposedPorts":{"80/tcp":{},"53/udp":{}}})");
  EXPECT_EQ(Applied("{}", "VOLUME /a /b"), R"({"Volumes":{"/a":{},"/b":{}}})");
  EXPECT_EQ(Applied("{}", R"(VOLUME ["/a b"])"), R"({"Volumes":{"/a b":{}}})");
  EXPECT_EQ(Applied(R"({"WorkingDir":"/srv"})", "WORKDIR x"), R"({"WorkingDir":"/srv/x"})");
  EXPECT_EQ(Applied("{}", "WORKDIR /y"), R"({"WorkingDir":"/y"})");
  EXPECT_EQ(Applied("{}", "USER web:www"), R"({"User":"web:www"})");
  EXPECT_EQ(Applied("{}", "STOPSIGNAL SIGQUIT"), R"({"StopSignal":"SIGQUIT"})");
  EXPECT_EQ(Applied("{}", "ONBUILD RUN x"), R"({"OnBuild":["RUN x"]})");
}

TEST(ApplyImageChange, RefusesWhatItCannotDo) {
  for (const char* instruction :
       {"RUN true", "", "FROM x", "USER", "EXPOSE http", "ENV X", "LABEL =x", "ENV A=\"unended"}) {
    EXPECT_TRUE(Applied("{}", instruction).starts_with("refused")) << instruction;
  }
}

}  // namespace
}  // namespace hull
