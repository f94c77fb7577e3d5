#include "ctl/broker_api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/encode.h"
#include "common/base/err.h"
#include "common/net/amqp/broker_url.h"

#define PATIENCE_MS 5000
#define ANSWER_MAX ((size_t)8 * 1024 * 1024)
#define TEXT_MAX ((size_t)8192)

/* "Authorization: Basic …" of the broker's user. */
static int add_login(struct buf *out, const struct broker_host *host)
{
    char text[BASE64_SIZE(sizeof host->user + sizeof host->password)];
    char login[sizeof host->user + sizeof host->password + 1];
    int len = snprintf(login, sizeof login, "%s:%s", host->user, host->password);
    base64_encode(login, (size_t)len, text);
    int code = buf_printf(out, "Authorization: Basic %s", text);
    explicit_bzero(login, sizeof login);
    explicit_bzero(text, sizeof text);
    return code;
}

int broker_api_open(struct ctl *ctl, struct broker_api *ret_api)
{
    struct broker_hosts hosts;
    const char *problem;
    int code = broker_url_parse(cfg_str(ctl->cfg, CFG_AMQP_URL), &hosts, &problem);
    if (code < 0)
        return code;
    const struct curl_options options = {.ca_file = cfg_str(ctl->cfg, CFG_AMQP_CA_FILE),
                                         .connections_max = 1,
                                         .connect_timeout_ms = PATIENCE_MS};
    struct broker_api api = {.loop = ctl->loop, .base = cfg_str(ctl->cfg, CFG_BROKER_API_URL)};
    (void)snprintf(api.vhost, sizeof api.vhost, "%s", hosts.hosts[0].vhost);
    buf_init(&api.login, TEXT_MAX);
    code = add_login(&api.login, &hosts.hosts[0]);
    broker_url_free(&hosts);
    api.client = curl_client_new(ctl->loop, &options);
    if (code < 0 || api.client == NULL) {
        broker_api_close(&api);
        return ERR_NOMEM;
    }
    *ret_api = api;
    return 0;
}

void broker_api_close(struct broker_api *api)
{
    curl_client_free(api->client);
    if (api->login.data != NULL)
        explicit_bzero(api->login.data, api->login.len);
    buf_free(&api->login);
}

struct asking {
    struct loop *loop;
    struct broker_api_answer *answer;
};

static void answered(const struct curl_response *response, void *arg)
{
    struct asking *asking = arg;
    struct broker_api_answer *answer = asking->answer;
    answer->code = response->code;
    answer->status = response->status;
    if (response->code < 0)
        (void)snprintf(answer->reason, sizeof answer->reason, "%s", response->reason);
    else
        answer->body = json_loadb(response->body, response->body_len, 0, NULL);
    loop_stop(asking->loop);
}

void broker_api_call(struct broker_api *api, const char *method, const char *path,
                     const json_t *body, struct broker_api_answer *ret_answer)
{
    struct asking asking = {api->loop, ret_answer};
    struct curl_call *running;
    struct buf url;
    char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    *ret_answer = (struct broker_api_answer){.code = ERR_NOMEM, .reason = "out of memory"};
    buf_init(&url, TEXT_MAX);
    (void)buf_printf(&url, "%s/api/%s", api->base, path);
    const char *const headers[] = {buf_text(&api->login),
                                   body == NULL ? NULL : "Content-Type: application/json", NULL};
    const struct curl_request request = {.method = method,
                                         .url = buf_text(&url),
                                         .headers = headers,
                                         .body = text,
                                         .body_len = text == NULL ? 0 : strlen(text),
                                         .timeout_ms = PATIENCE_MS,
                                         .response_max = ANSWER_MAX};
    if (!url.failed && (body == NULL || text != NULL) &&
        curl_call_start(api->client, &request, answered, &asking, &running) == 0)
        loop_run(api->loop);
    free(text);
    buf_free(&url);
}

void broker_api_answer_free(struct broker_api_answer *answer)
{
    json_decref(answer->body);
    answer->body = NULL;
}
