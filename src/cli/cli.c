#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "model/mistake.h"

const struct cli_command cli_commands[] = {
    {"serve", "run the gateway (also what `accord` alone does)",
     "accord serve [-c FILE] [--listen ADDRESS] [--data DIR] [--workers N] [--json]\n"
     "\n"
     "Runs the gateway until SIGTERM. Nothing is needed: without a file it listens on\n"
     "127.0.0.1:4090, keeps its data in ./data, makes a first key and prints it once.\n"
     "\n"
     "  -c, --config FILE   the configuration (accord.yaml); SIGHUP reads it again\n"
     "  --listen ADDRESS    HOST:PORT, [IPV6]:PORT, :PORT or unix:/PATH; port 0 takes a free one\n"
     "  --data DIR          where keys and state are kept\n"
     "  --workers N         event loops; default: the cores it may use\n"
     "  --json              print one line of JSON once it listens: address, keys, pid\n"
     "\n"
     "The environment: ACCORD_FIRST_KEY is a key for all models; an API key such as "
     "OPENAI_API_KEY,\n"
     "ANTHROPIC_API_KEY or GEMINI_API_KEY makes that provider available.\n",
     cli_serve},
    {"check", "check a configuration and print what is in effect",
     "accord check [-c FILE] [--json]\n"
     "accord check --schema\n"
     "\n"
     "Prints the effective configuration with secrets masked and says where each provider and key\n"
     "comes from. A wrong one is refused with every mistake's file:line:column, and exit code 3.\n"
     "\n"
     "  -c, --config FILE   the configuration; without it, defaults and the environment\n"
     "  --data DIR          the data directory whose keys policies may name\n"
     "  --json              print JSON: {\"valid\":true,\"config\":{...}} or\n"
     "                      {\"valid\":false,\"errors\":[...]}\n"
     "  --schema            print the JSON Schema of accord.yaml\n",
     cli_check},
    {"key create", "make a key for an application",
     "accord key create [--id ID] [--models A,B] [-c FILE] [--data DIR] [--json]\n"
     "\n"
     "Makes a key, keeps its digest in the data directory, and prints its secret: once, here, and\n"
     "never again. A running server takes it at once.\n"
     "\n"
     "  --id ID             its name; default: key- and eight random digits\n"
     "  --models A,B        what it may call: names, or beginnings followed by *; default: all\n"
     "  -c, --config FILE   the configuration that names the data directory\n"
     "  --data DIR          the data directory; default: ./data\n"
     "  --json              print JSON: id, secret, models, reloaded\n",
     cli_key_create},
    {"key rotate-master", "seal all secrets under a new master key",
     "accord key rotate-master [-c FILE] [--data DIR]\n"
     "\n"
     "Makes a new master key, seals every secret in the state under it, and keeps it in\n"
     "DATA/master.key. The server must be stopped.\n",
     cli_key_rotate_master},
    {"login", "sign in; later commands know who you are",
     "accord login --email ADDRESS | --link LINK | --token TOKEN [--address URL]\n"
     "\n"
     "Asks for the password (or takes ACCORD_PASSWORD, or a line of standard input), and keeps an\n"
     "access token in ~/.config/accord/login.json. A one-time link sets the password first.\n"
     "ACCORD_ADDRESS and ACCORD_TOKEN stand for what is kept.\n",
     cli_login},
    {"whoami", "who you are and what you may", "accord whoami [--address URL] [--json]\n",
     cli_whoami},
    {"get", "list resources, or show one",
     "accord get KIND [FIELD=VALUE ...] [-o table|json|yaml] [--address URL]\n"
     "accord get KIND ID [-o json|yaml]\n"
     "\n"
     "A table on a terminal, values separated by tabs in a pipe. FIELD=VALUE are filters.\n",
     cli_get},
    {"create", "create a resource",
     "accord create KIND [ID] [FIELD=VALUE ...] [-f FILE] [--dry-run] [-o json|yaml]\n"
     "\n"
     "The fields come from FILE (YAML or JSON, - is standard input) and from FIELD=VALUE, where a\n"
     "value that is JSON is taken as such: models='[\"gpt-5\"]'. A retry creates it once.\n",
     cli_create},
    {"edit", "change a resource in $EDITOR",
     "accord edit KIND ID [--address URL]\n"
     "\n"
     "When somebody else has changed it meanwhile, the three sides are shown field by field: "
     "merge,\n"
     "overwrite, keep theirs, or edit again. Exit code 6 when theirs stays.\n",
     cli_edit},
    {"apply", "make what a file declares so",
     "accord apply -f FILE [--dry-run] [--force] [--address URL]\n"
     "\n"
     "FILE has lists of resources by kind, each with an id: teams: [{id: core, name: Core}]. "
     "Fields\n"
     "that were applied belong to the file; a field that belongs to somebody else is a conflict\n"
     "(exit code 6) unless --force takes it over. What the file does not name stays as it is.\n",
     cli_apply},
    {"delete", "delete a resource",
     "accord delete KIND ID [--if-match ETAG] [--address URL]\n"
     "\n"
     "Deletes the state that is there now, or only the one that --if-match names.\n",
     cli_delete},
    {"revoke", "kill a key or a token at once",
     "accord revoke KIND ID [note=TEXT] [--if-match ETAG] [--address URL]\n", cli_action},
    {"rotate", "make a new secret for a key or a token",
     "accord rotate KIND ID [overlap_s=SECONDS] [--if-match ETAG] [--address URL]\n", cli_action},
    {"approve", "approve a subscription",
     "accord approve KIND ID [note=TEXT] [--if-match ETAG] [--address URL]\n", cli_action},
    {"refuse", "refuse a subscription",
     "accord refuse KIND ID [note=TEXT] [--if-match ETAG] [--address URL]\n", cli_action},
    {"cancel", "cancel a subscription",
     "accord cancel KIND ID [note=TEXT] [--if-match ETAG] [--address URL]\n", cli_action},
    {"disable", "keep a user out",
     "accord disable KIND ID [note=TEXT] [--if-match ETAG] [--address URL]\n", cli_action},
    {"enable", "let a user in again",
     "accord enable KIND ID [note=TEXT] [--if-match ETAG] [--address URL]\n", cli_action},
    {"history", "the states that a resource had", "accord history KIND ID [-o table|json|yaml]\n",
     cli_history},
    {"diff", "compare two states of a resource",
     "accord diff KIND ID [--from REVISION] [--to REVISION] [-o json]\n", cli_diff},
    {"watch", "follow the changes of a kind", "accord watch KIND [--json]\n", cli_watch},
    {"conflicts", "writes that were refused",
     "accord conflicts [ID] [-o table|json|yaml]\n"
     "\n"
     "Lists refused writes that you may read; with an ID, the whole answer to one.\n",
     cli_conflicts},
    {"logs", "calls, as they were and as they end",
     "accord logs [FIELD=VALUE ...] [-f] [-n NUMBER] [--since TIME] [--until TIME] [--json]\n"
     "accord logs --body ID [--json]\n"
     "\n"
     "The last calls, the newest at the end: when, status, key, model, provider, tokens in and "
     "out,\n"
     "cost, milliseconds, error, request id. FIELD is key, application, team, provider, model, "
     "route,\n"
     "status (429, 4xx), outcome or errors (errors=true).\n"
     "\n"
     "  -f, --follow        go on with those that end from now on\n"
     "  -n, --number N      how many; default: 50\n"
     "  --since, --until    90s, 15m, 6h or 7d ago, or a time such as 2027-01-31T18:00:00Z\n"
     "  --json              a line of JSON for each\n"
     "      --body ID       what was asked and answered, where a policy keeps bodies; it is "
     "audited\n",
     cli_logs},
    {"usage", "what calls add up to: tokens and cost",
     "accord usage [FIELD=VALUE ...] [--by A,B] [--interval hour] [--since TIME] [--until TIME]\n"
     "             [-o table|json|csv]\n"
     "\n"
     "Of the last 24 hours, or of another time. FIELD is key, application, team, provider or "
     "model.\n"
     "\n"
     "  --by A,B            a row for each: key, application, team, provider, model\n"
     "  --interval WORD     a row for each minute, hour, day or month\n"
     "  --since, --until    90s, 15m, 6h or 7d ago, or a time such as 2027-01-31T18:00:00Z\n",
     cli_usage},
    {"top", "who and what costs most just now",
     "accord top [FIELD=VALUE ...] [--by A,B] [--since TIME] [--once]\n"
     "\n"
     "What the last 15 minutes cost by model, or by key, application, team or provider, the "
     "dearest\n"
     "first; on a terminal anew every two seconds, else (or with --once) once.\n",
     cli_top},
    {"alerts", "what is watched, and what is wrong",
     "accord alerts [--json]\n"
     "\n"
     "The rules of `alerts` in the configuration: id, state (ok, pending, firing), what is "
     "watched,\n"
     "whose it is, its value, above which it is wrong, and since when it is.\n",
     cli_alerts},
    {"explain", "where a call would go, and why",
     "accord explain MODEL [HEADER=VALUE ...] [--key ID] [--dialect NAME | --path PATH] [-f FILE]\n"
     "               [--json]\n"
     "\n"
     "A dry run: nothing is sent and nothing is charged. Tells which policies and limits hold, in\n"
     "which order the model's targets would be asked, and why each of the others is passed by.\n"
     "\n"
     "  -k, --key ID        the key that it would be made with\n"
     "  -d, --dialect NAME  openai (default), anthropic, gemini, ollama, cohere or bedrock\n"
     "  -p, --path PATH     where it would go, such as /v1/responses\n"
     "  -f, --file FILE     its body, YAML or JSON; - is standard input\n"
     "  --json              print JSON\n",
     cli_explain},
    {"routing", "how providers, models there and credentials are doing",
     "accord routing [--provider ID] [--model NAME] [--json]\n"
     "\n"
     "Breakers, what rests until when, calls under way, and the time to the first byte.\n",
     cli_routing},
    {"backup", "copy the state into one file",
     "accord backup FILE [-c FILE] [--data DIR]\n"
     "\n"
     "Copies the whole state into FILE, which must not be there; the server may run. The master "
     "key\n"
     "(DATA/master.key) is not in it: without it the secrets in the copy cannot be opened.\n",
     cli_backup},
    {"restore", "put the state of a backup in place, or a resource back",
     "accord restore FILE [-c FILE] [--data DIR]\n"
     "accord restore KIND ID --to REVISION [--if-match ETAG]\n"
     "\n"
     "Puts the state of FILE in place of the present one; a running server takes it at once. Or\n"
     "makes a resource again what it was at a revision.\n",
     cli_restore_any},
    {"audit verify", "check that the audit trail is whole",
     "accord audit verify [-c FILE] [--data DIR]\n"
     "\n"
     "Walks the audit trail: each entry's hash covers the one before, so that one which was "
     "changed or\n"
     "removed is found. Exit code 1 and the entry's number when there is one.\n",
     cli_audit_verify},
    {"version", "print the version", "accord version [--json]\n", cli_version},
    {"help", "print this, or the help of a command", "accord help [COMMAND]\n", cli_help},
    {0},
};

static bool is_command(const struct cli_command *c, int argc, char **argv, int *ret_words)
{
    const char *second = strchr(c->name, ' ');
    if (!second) {
        *ret_words = 1;
        return strcmp(c->name, argv[1]) == 0;
    }
    *ret_words = 2;
    return argc > 2 && strlen(argv[1]) == (size_t)(second - c->name) &&
           memcmp(argv[1], c->name, (size_t)(second - c->name)) == 0 &&
           strcmp(second + 1, argv[2]) == 0;
}

/* `accord key` alone: what there is behind it. */
static bool is_first_word(const char *word)
{
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        size_t n = strcspn(c->name, " ");
        if (c->name[n] && strlen(word) == n && memcmp(c->name, word, n) == 0) {
            fprintf(stderr, "accord: after `%s` comes `%s`; `accord help %s` explains it\n", word,
                    c->name + n + 1, c->name);
            return true;
        }
    }
    return false;
}

static int unknown(const char *word)
{
    const char *names[64];
    size_t n = 0;
    for (; cli_commands[n].name && n < 63; n++) {
        names[n] = cli_commands[n].name;
    }
    names[n] = NULL;
    const char *near = nearest_word(str_of(word), names);
    fprintf(stderr, "accord: there is no command \"%s\"%s%s%s\n", word,
            near ? "; did you mean `" : "", near ? near : "", near ? "`?" : "");
    fprintf(stderr, "accord: `accord help` lists the commands\n");
    return CLI_USAGE;
}

int cli_main(int argc, char **argv)
{
    char serve[] = "serve", *alone[] = {serve, NULL};
    if (argc < 2) {
        return cli_serve(1, alone);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        cli_print_help(NULL);
        return CLI_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        return cli_version(1, alone);
    }
    if (argv[1][0] == '-') { /* options of `serve`; argv[0] stands where its name would */
        return cli_serve(argc, argv);
    }
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        int words;
        if (is_command(c, argc, argv, &words)) {
            return c->run(argc - words, argv + words);
        }
    }
    return is_first_word(argv[1]) ? CLI_USAGE : unknown(argv[1]);
}
