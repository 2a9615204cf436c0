#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/deadline_queue.h"

/* Both ways along the chain. */
static void require_order(const struct azfn__deadline_queue *queue, struct azfn__deadline_link *const *links,
                          size_t count)
{
    const struct azfn__deadline_link *link = queue->oldest;
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(link, links[i]);
        assert_ptr_equal(link->queue, queue);
        assert_ptr_equal(link->older, i > 0 ? links[i - 1] : NULL);
        link = link->newer;
    }
    assert_null(link);
    assert_ptr_equal(queue->newest, count > 0 ? links[count - 1] : NULL);
}

static void links_are_in_the_order_in_which_they_entered(void **state)
{
    (void)state;
    struct azfn__deadline_queue queue = {.time_ms = 50};
    struct azfn__deadline_link a = {0};
    struct azfn__deadline_link b = {0};
    require_order(&queue, NULL, 0);
    azfn__deadline_queue_enter(&queue, &a, 1000);
    azfn__deadline_queue_enter(&queue, &b, 1007);
    assert_int_equal(a.deadline_ms, 1050);
    assert_int_equal(b.deadline_ms, 1057);
    require_order(&queue, (struct azfn__deadline_link *[]){&a, &b}, 2);
}

static void any_of_them_can_leave(void **state)
{
    (void)state;
    for (size_t leaving = 0; leaving < 3; leaving++) {
        struct azfn__deadline_queue queue = {.time_ms = 1};
        struct azfn__deadline_link links[3] = {{0}};
        struct azfn__deadline_link *left[2];
        size_t count = 0;
        for (size_t i = 0; i < 3; i++) {
            azfn__deadline_queue_enter(&queue, &links[i], i);
            if (i != leaving) {
                left[count++] = &links[i];
            }
        }
        azfn__deadline_queue_leave(&links[leaving]);
        assert_null(links[leaving].queue);
        assert_null(links[leaving].older);
        assert_null(links[leaving].newer);
        require_order(&queue, left, 2);
        azfn__deadline_queue_leave(left[0]);
        azfn__deadline_queue_leave(left[1]);
        require_order(&queue, NULL, 0);
    }
}

static void one_that_enters_again_is_the_newest_with_a_new_deadline(void **state)
{
    (void)state;
    struct azfn__deadline_queue queue = {.time_ms = 10};
    struct azfn__deadline_link a = {0};
    struct azfn__deadline_link b = {0};
    azfn__deadline_queue_enter(&queue, &a, 0);
    azfn__deadline_queue_enter(&queue, &a, 1);
    require_order(&queue, (struct azfn__deadline_link *[]){&a}, 1);
    azfn__deadline_queue_enter(&queue, &b, 2);
    azfn__deadline_queue_enter(&queue, &a, 3);
    require_order(&queue, (struct azfn__deadline_link *[]){&b, &a}, 2);
    assert_int_equal(a.deadline_ms, 13);
}

static void entering_another_queue_is_leaving_the_first(void **state)
{
    (void)state;
    struct azfn__deadline_queue idle = {.time_ms = 10};
    struct azfn__deadline_queue closing = {.time_ms = 2};
    struct azfn__deadline_link a = {0};
    azfn__deadline_queue_enter(&idle, &a, 0);
    azfn__deadline_queue_enter(&closing, &a, 0);
    assert_int_equal(a.deadline_ms, 2);
    require_order(&idle, NULL, 0);
    require_order(&closing, (struct azfn__deadline_link *[]){&a}, 1);
}

static void leaving_without_being_in_a_queue_does_nothing(void **state)
{
    (void)state;
    struct azfn__deadline_link a = {0};
    azfn__deadline_queue_leave(&a);
    assert_null(a.queue);
}

static void the_longest_time_does_not_overflow(void **state)
{
    (void)state;
    struct azfn__deadline_queue queue = {.time_ms = UINT32_MAX};
    struct azfn__deadline_link a = {0};
    azfn__deadline_queue_enter(&queue, &a, UINT32_MAX);
    assert_int_equal(a.deadline_ms, UINT64_C(2) * UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(links_are_in_the_order_in_which_they_entered),
        cmocka_unit_test(any_of_them_can_leave),
        cmocka_unit_test(one_that_enters_again_is_the_newest_with_a_new_deadline),
        cmocka_unit_test(entering_another_queue_is_leaving_the_first),
        cmocka_unit_test(leaving_without_being_in_a_queue_does_nothing),
        cmocka_unit_test(the_longest_time_does_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
