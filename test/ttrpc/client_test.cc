// SPDX-License-Identifier: Apache-2.0
#include "ttrpc/client.h"

#include "ttrpc_fixture.h"

namespace thinshim::test {
namespace {

class ClientTest : public TtrpcTest {
 protected:
  ClientTest() { serve(); }
  void clients_gone() override { client.reset(); }

  // The value that Echo and its like return.
  std::string call(const std::string& method, const std::string& key, const std::string& value = "",
                   Duration timeout = kPatience) {
    KeyValue request;
    request.set_key(key);
    request.set_value(value);
    return await(client->call<KeyValue>("test.Service", method, request, timeout)).key();
  }

  std::unique_ptr<Client> client = std::make_unique<Client>(loop, socket_path);
};

TEST_F(ClientTest, CallsAndReturnsTheResponse) {
  EXPECT_EQ(call("Echo", "a"), "a");
  EXPECT_EQ(call("Echo", "b"), "b");
  EXPECT_EQ(server->connections(), 1u);
}

}  // namespace
}  // namespace thinshim::test
