/* The index offers every route that matches, in order, and few that do not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/span.h"
#include "config/route_index.h"

#define MAX_ROUTES 1000

struct app {
    struct azfn__arena arena;
    const struct azfn__route *routes[MAX_ROUTES];
    size_t count;
    struct azfn__route_index *index;
};

static void set_up(struct app *app)
{
    app->count = 0;
    azfn__arena_init(&app->arena, (size_t)64 << 20);
}

static void add(struct app *app, const char *template_text)
{
    struct azfn__route *route = NULL;
    const char *reason = NULL;
    struct azfn_span text = azfn__arena_copy(&app->arena, azfn_span_of(template_text));
    if (azfn__route_new(&app->arena, AZFN__SPAN("api"), text, &route, &reason) != AZFN_OK) {
        fail_msg("%s: %s", template_text, reason);
    }
    app->routes[app->count++] = route;
}

static void finish(struct app *app)
{
    app->index = azfn__route_index_new(&app->arena, app->routes, app->count);
    assert_non_null(app->index);
}

/* Those among the candidates that match are those of all routes that match. Returns how many were offered. */
static size_t require_same(struct app *app, const char *path)
{
    struct azfn__route_candidates candidates;
    struct azfn__route_match match;
    size_t offered = 0;
    size_t place = 0;
    size_t expected = 0;
    azfn__route_index_find(app->index, azfn_span_of(path), &candidates);
    while (azfn__route_candidates_next(&candidates, &place)) {
        offered++;
        if (!azfn__route_match(app->routes[place], azfn_span_of(path), &app->arena, &match)) {
            continue;
        }
        while (expected < place &&
               (!app->routes[expected] ||
                !azfn__route_match(app->routes[expected], azfn_span_of(path), &app->arena, &match))) {
            expected++;
        }
        if (expected != place) {
            fail_msg("%s: route %zu was offered where %zu is next", path, place, expected);
        }
        expected++;
    }
    for (; expected < app->count; expected++) {
        if (app->routes[expected] &&
            azfn__route_match(app->routes[expected], azfn_span_of(path), &app->arena, &match)) {
            fail_msg("%s: route %zu was not offered", path, expected);
        }
    }
    return offered;
}

static void what_matches_is_offered_in_order(void **state)
{
    (void)state;
    static const char *const templates[] = {"{*rest}", "items/{id}", "items/{id:int}/{name?}", "Items/new", "",
                                            "items", "{kind}/new", "{kind=items}/{id=1}", "v{n}/x", "items/{*path}",
                                            "caf\xc3\xa9", "{a?}"};
    static const char *const paths[] = {
        "/api", "/api/", "/api/items", "/API/ITEMS/", "/api/items/new", "/api/items/7", "/api/items/7/a",
        "/api/items/7/a/b", "/api/v1/x", "/api/v1", "/api/it%65ms/new", "/api/it%2Fems", "/api/caf%C3%A9",
        "/api/CAF%C3%A9", "/api/caf\xc3\xa9", "/api//x", "/api/x//", "/", "*", "", "/other", "/apix", "/api/%zz",
    };
    struct app app;
    set_up(&app);
    for (size_t i = 0; i < sizeof(templates) / sizeof(templates[0]); i++) {
        add(&app, templates[i]);
    }
    app.routes[app.count++] = NULL; /* a function without a route */
    finish(&app);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        require_same(&app, paths[i]);
    }
    azfn__arena_clean_up(&app.arena);
}

static uint32_t draw(uint32_t *seed, uint32_t below)
{
    *seed = *seed * UINT32_C(1664525) + UINT32_C(1013904223);
    return (*seed >> 8) % below;
}

static void drawn_templates_and_paths_agree_with_asking_each_route(void **state)
{
    (void)state;
    /* a literal, or a parameter between two */
    static const struct {
        bool is_literal;
        const char *before;
        const char *constraint;
        const char *behind;
    } parts[] = {
        {true, "a", "", ""},  {true, "b", "", ""},      {true, "A", "", ""},    {false, "", "", ""},
        {false, "c", "", ""}, {false, "", ":int", ""}, {false, "", "", ".d"},
    };
    static const char *const ends[] = {"", "/{end?}", "/{*end}", "/{end=5}"};
    static const char *const segments[] = {"a", "B", "7", "ca", "q.d", "%61", "c%2F"};
    uint32_t seed = 1;
    for (int round = 0; round < 20; round++) {
        struct app app;
        set_up(&app);
        for (int i = 0; i < 100; i++) {
            char text[256] = "";
            size_t length = 0;
            uint32_t count = 1 + draw(&seed, 6);
            for (uint32_t k = 0; k < count; k++) {
                uint32_t drawn = draw(&seed, 7);
                const char *separator = k ? "/" : "";
                int more = parts[drawn].is_literal
                               ? snprintf(text + length, sizeof(text) - length, "%s%s", separator, parts[drawn].before)
                               : snprintf(text + length, sizeof(text) - length, "%s%s{x%u%s}%s", separator,
                                          parts[drawn].before, k, parts[drawn].constraint, parts[drawn].behind);
                length += (size_t)more;
            }
            snprintf(text + length, sizeof(text) - length, "%s", ends[draw(&seed, 4)]);
            add(&app, text);
        }
        finish(&app);
        for (int i = 0; i < 300; i++) {
            char path[256] = "/api";
            size_t length = 4;
            uint32_t count = draw(&seed, 9);
            for (uint32_t k = 0; k < count; k++) {
                length += (size_t)snprintf(path + length, sizeof(path) - length, "/%s", segments[draw(&seed, 7)]);
            }
            require_same(&app, path);
        }
        azfn__arena_clean_up(&app.arena);
    }
}

static void of_a_thousand_routes_only_a_few_are_asked(void **state)
{
    (void)state;
    struct app app;
    set_up(&app);
    for (int i = 0; i < MAX_ROUTES; i++) {
        char text[64];
        snprintf(text, sizeof(text), i % 2 == 0 ? "things-%d/{id}" : "{tenant}/parts-%d", i);
        add(&app, text);
    }
    finish(&app);
    assert_int_equal(require_same(&app, "/api/things-998/5"), 1);
    assert_int_equal(require_same(&app, "/api/things-998/parts-7"), 2);
    assert_int_equal(require_same(&app, "/api/someone/parts-999"), 1);
    assert_int_equal(require_same(&app, "/api/someone/else"), 0);
    azfn__arena_clean_up(&app.arena);
}

/* All ways to have depth segments that are "a" or a parameter. */
static void add_all_mixes(struct app *app, unsigned depth, const char *end)
{
    for (unsigned mix = 0; mix < 1u << depth; mix++) {
        char text[128] = "";
        size_t length = 0;
        for (unsigned i = 0; i < depth; i++) {
            length += (size_t)snprintf(text + length, sizeof(text) - length, mix >> i & 1 ? "a/" : "{x%u}/", i);
        }
        snprintf(text + length, sizeof(text) - length, "%s", end);
        add(app, text);
    }
}

static void no_route_is_forgotten_where_very_many_may_match(void **state)
{
    (void)state;
    struct app app;
    set_up(&app);
    add_all_mixes(&app, 4, "{*rest}"); /* as many places as are followed, each with a list */
    add_all_mixes(&app, 3, "{end?}");
    finish(&app);
    assert_true(require_same(&app, "/api/a/a/a/a") >= 24);
    require_same(&app, "/api/a/a/a");
    require_same(&app, "/api/a/b/a/a/c");
    azfn__arena_clean_up(&app.arena);
    set_up(&app);
    add_all_mixes(&app, 6, "z"); /* more places than are followed */
    finish(&app);
    assert_true(require_same(&app, "/api/a/a/a/a/a/a/z") >= 64);
    require_same(&app, "/api/a/b/a/b/a/b/z");
    azfn__arena_clean_up(&app.arena);
}

static void an_app_without_routes_has_an_index_too(void **state)
{
    (void)state;
    struct app app;
    set_up(&app);
    finish(&app);
    assert_int_equal(require_same(&app, "/api/x"), 0);
    azfn__arena_clean_up(&app.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_matches_is_offered_in_order),
        cmocka_unit_test(drawn_templates_and_paths_agree_with_asking_each_route),
        cmocka_unit_test(of_a_thousand_routes_only_a_few_are_asked),
        cmocka_unit_test(no_route_is_forgotten_where_very_many_may_match),
        cmocka_unit_test(an_app_without_routes_has_an_index_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
