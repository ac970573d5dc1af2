"""The failures of the field: 79 things that went wrong elsewhere, each tested here or waiting for a feature.

Read in public issue threads of commerce systems and ledgers. What a thread says is its reporter's claim, told here in our own words; a
pull request is cited as a thread like any other. ``tests/house/test_failures.py`` keeps the list complete.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import pytest

FunctionT = TypeVar("FunctionT", bound=Callable[..., object])

OWNERS = "owners of reservations"
SPLIT = "splitting fulfillment orders"
MERGE = "merging fulfillment orders"
EXCHANGES = "exchanges"
KITS = "kits"
BACKORDER = "backorder"
DISPLACEMENT = "displacement of floating reservations"

FEATURES: dict[str, str] = {
    OWNERS: r"ChangeReservation|owner",
    SPLIT: r"\bSplit\b",
    MERGE: r"\bMerge\b",
    EXCHANGES: r"(?i)exchange",
    KITS: r"(?i)\bkit|_kit|component|bundle",
    BACKORDER: r"(?i)backorder",
    DISPLACEMENT: r"(?i)displace",
}
"""What is not there yet, by the pattern of the names that it will bring into the contract. Once one of them appears, the cases that
wait for the feature must be tested, and those that grow with it looked at again."""

SECTIONS: dict[str, range] = {
    "test_overselling": range(1, 14),
    "test_batches_and_bundles": range(14, 20),
    "test_leaked_reservations": range(20, 28),
    "test_double_releases": range(28, 35),
    "test_expiry_and_ownership": range(35, 42),
    "test_lock_ordering": range(42, 49),
    "test_many_locations": range(49, 60),
    "test_splits_returns_edits": range(60, 68),
    "test_messages": range(68, 73),
    "test_speed": range(73, 80),
}
"""Which module tests which cases."""


class Case(NamedTuple):
    """One failure. ``threads`` as owner/repository#number. ``pending`` names the feature that an untested case waits for;
    ``grows_with`` one that will add to what its test can ask.
    """

    number: int
    threads: tuple[str, ...]
    failure: str
    pending: str = ""
    grows_with: str = ""


def case(*numbers: int) -> Callable[[FunctionT], FunctionT]:
    """Says which cases a test is about: ``pytest -m "case(number=41)"`` runs the tests of one."""

    def mark(function: FunctionT) -> FunctionT:
        for number in numbers:
            function = pytest.mark.case(number=number)(function)
        return function

    return mark


CASES: tuple[Case, ...] = (
    # Overselling by a gap between check and act
    Case(1, ("saleor/saleor#543",), "two checkouts at once both allocate past the stock"),
    Case(
        2, ("magento/magento2#6363",), "two orders both succeed and the quantity is negative; 18 front ends reached −14"
    ),
    Case(3, ("opencart/opencart#4811",), "carts that fit alone but not together are all sold"),
    Case(4, ("nopSolutions/nopCommerce#4184",), "a campaign's burst sells more than there is"),
    Case(
        5,
        ("vendurehq/vendure#3508", "vendurehq/vendure#4930"),
        "check and allocation in different transactions: a paid order is allocated less than it bought, and nobody is told",
    ),
    Case(6, ("awesto/django-shop#888",), "stock is read, decreased and written back; decrements overwrite each other"),
    Case(7, ("magento/inventory#3036",), "the reservation is written after the order is placed, so two orders pass"),
    Case(
        8,
        ("openfoodfoundation/openfoodnetwork#5300", "openfoodfoundation/openfoodnetwork#5406"),
        "sold above the maximum; with an optimistic lock the loser retries, nobody knows how often",
    ),
    Case(9, ("django-oscar/django-oscar#2102",), "two orders are placed, the counter of allocated units shows one"),
    Case(
        10,
        ("medusajs/medusa#16569",),
        "reserving past the workflow that locks exceeds the stock and the counter drifts",
    ),
    Case(11, ("frappe/erpnext#51375",), "reservation documents submitted together exceed the stock"),
    Case(12, ("odoo/odoo#32857",), "20 processes reserve from 10 units, because what is locked is skipped"),
    Case(13, ("odoo/odoo#272560",), "a second row for the same stock appears, and more is reserved than exists"),
    # Arithmetic of batches and bundles
    Case(
        14, ("medusajs/medusa#16502",), "two lines on one component are each checked against the same number", "", KITS
    ),
    Case(15, ("vendurehq/vendure#2702",), "the same variant twice in a cart gets past the check"),
    Case(
        16,
        ("magento/inventory#1246", "magento/inventory#1849"),
        "shipping and cancelling parts of a bundle compensate twice: quantity 95, salable 100",
        "",
        KITS,
    ),
    Case(
        17, ("magento/magento2#30877",), "the reservation is booked on the parent, so the variant itself stays sellable"
    ),
    Case(
        18,
        ("PrestaShop/PrestaShop#28713",),
        "pack and components are both wrong after an order and its cancel",
        "",
        KITS,
    ),
    Case(19, ("medusajs/medusa#11403",), "an item named twice is locked twice and waits for itself"),
    # Leaked, lost or doubly released reservations
    Case(20, ("medusajs/medusa#13625",), "a workflow that is rolled back keeps its units"),
    Case(21, ("medusajs/medusa#11266",), "a fulfilled order sometimes leaves its reservation behind"),
    Case(
        22,
        ("medusajs/medusa#12401", "medusajs/medusa#11131"),
        "the reserved quantity is negative, and no call can set it right",
    ),
    Case(23, ("magento/inventory#1881",), "cancelling after a partial shipment gives back all ten, not what was left"),
    Case(24, ("magento/inventory#1887",), "cancelling after a partial shipment gives back nothing"),
    Case(25, ("magento/inventory#2859",), "a refund without return to stock gives units back all the same"),
    Case(26, ("magento/inventory#2130",), "a release without its reservation: sold out, but one is salable"),
    Case(27, ("magento/inventory#2773",), "a SKU renamed after an order: more is salable than there is"),
    Case(28, ("PrestaShop/PrestaShop#22756",), "from shipped to refunded adds to available and to reserved"),
    Case(
        29,
        ("PrestaShop/PrestaShop#36024", "PrestaShop/PrestaShop#36123"),
        "an order cancelled and reopened invents a unit: 15 becomes 16",
    ),
    Case(
        30,
        ("woocommerce/woocommerce#55396", "woocommerce/woocommerce#66303"),
        "a failed payment keeps the hold until it expires; others want it kept for the retry",
    ),
    Case(31, ("EasyAbp/EShop#221",), "a cancel during the deduction gives back more than was taken"),
    Case(32, ("Sylius/Sylius#9435",), "stock edited below what is held makes the cancel impossible"),
    Case(
        33,
        ("odoo/odoo#62139", "odoo/odoo#24555", "odoo/odoo#154905", "odoo/odoo#79180"),
        "reserved units and their documents drift apart until deliveries are blocked; a repair job runs every ten minutes",
    ),
    Case(
        34,
        ("frappe/erpnext#49382",),
        "a count is refused while anything is reserved, even one above the reserved units",
    ),
    # Expiry and ownership
    Case(
        35,
        ("woocommerce/woocommerce#67354", "woocommerce/woocommerce#67751"),
        "a shopper is blocked by the hold they left behind themselves",
        OWNERS,
    ),
    Case(
        36,
        ("woocommerce/woocommerce#45245", "woocommerce/woocommerce#43361", "woocommerce/woocommerce#50578"),
        "a hold ignores the minutes that were set, and falls back to ten",
    ),
    Case(
        37, ("be-BOP-io-SA/be-BOP#533",), "an expired cart is renewed after another buyer reserved: both see sold out"
    ),
    Case(38, ("saleor/saleor#11069",), "a row stays locked while the payment runs, and other buyers stand still"),
    Case(39, ("tigerbeetle/tigerbeetle#2000",), "a record is partly written before the check that it has expired"),
    Case(
        40,
        ("tigerbeetle/tigerbeetle#2118", "tigerbeetle/tigerbeetle#1657"),
        "an expired hold still counts until a sweep, and a sweep takes only so many",
    ),
    Case(41, ("tigerbeetle/tigerbeetle#3658",), "many holds on one hot account expire together, and the sweep fails"),
    # Deadlocks and the order of locks
    Case(42, ("saleor/saleor#17123",), "allocations and stocks are locked in different orders"),
    Case(
        43, ("django-oscar/django-oscar#4594",), "lines are locked in the order of the basket: A, B and B, A deadlock"
    ),
    Case(
        44,
        ("magento/magento2#39417", "magento/magento2#41224"),
        "of 100 users who order several items at once, a few per cent lose their order",
    ),
    Case(45, ("magento/magento2#6810",), "locking stock locks the rows of its parents as well"),
    Case(46, ("nopSolutions/nopCommerce#6681",), "confirming orders deadlocks where a warehouse's inventory is merged"),
    Case(47, ("woocommerce/woocommerce#25708",), "what a deadlock lost is not tried again"),
    Case(48, ("odoo/odoo#18553", "odoo/odoo#62131"), "a hundred orders a minute from ten branches drown in retries"),
    # The truth about many locations
    Case(
        49,
        ("medusajs/medusa#14987", "medusajs/medusa#15132"),
        "the sum over locations is checked, the first one reserved: the cart fails with stock present",
    ),
    Case(50, ("solidusio/solidus#1594",), "one unit each in two locations, and an order of two is refused"),
    Case(
        51,
        ("solidusio/solidus#3020",),
        "losing the last unit is an unhandled error, not another location",
        "",
        BACKORDER,
    ),
    Case(52, ("saleor/saleor#17170",), "a negative warehouse cancels out another one's stock"),
    Case(53, ("vendurehq/vendure#4030",), "allocating ignores what is already allocated at the location"),
    Case(54, ("vendurehq/vendure#2356",), "one channel sells stock that only another may use"),
    Case(
        55,
        ("medusajs/medusa#10658", "medusajs/medusa#10661"),
        "units are reserved at a location that is not linked to the channel",
    ),
    Case(56, ("magento/inventory#2727",), "a source belongs to two stocks: a sale in one does not lower the other"),
    Case(57, ("magento/inventory#2032",), "a parcel consumes the stock promised to a pickup", "", DISPLACEMENT),
    Case(
        58,
        ("magento/magento2#37992", "magento/inventory#2676", "magento/inventory#2785", "magento/inventory#3367"),
        "pickup is offered or sold where the store has none, and never gets ready",
    ),
    Case(59, ("saleor/saleor#10218", "saleor/saleor#10225"), "an order to be collected is allocated somewhere else"),
    # Splits, returns, edits
    Case(
        60,
        (
            "solidusio/solidus#5669",
            "solidusio/solidus#6319",
            "solidusio/solidus#6320",
            "spree/spree#8596",
            "spree/spree#9003",
        ),
        "splitting a shipment turns backordered units into units on hand, or the other way round",
        SPLIT,
    ),
    Case(61, ("spree/spree#10086",), "making the shipments anew drops the line whose stock is gone"),
    Case(62, ("magento/inventory#3106",), "several nearby sources cannot go in one shipment", MERGE),
    Case(63, ("saleor/saleor#16667",), "a return never restocks"),
    Case(64, ("solidusio/solidus#3527",), "an exchange takes the original size from stock", EXCHANGES),
    Case(65, ("solidusio/solidus#2947",), "a cancelled item is marked as shipped, and its unit is lost"),
    Case(66, ("medusajs/medusa#13497",), "a return location is accepted when any item fits, not all"),
    Case(67, ("medusajs/medusa#14936",), "adding to a return again makes duplicate lines"),
    # Idempotency and messages
    Case(68, ("woocommerce/woocommerce-paypal-payments#3976",), "a slow webhook is sent again, and stock is cut twice"),
    Case(
        69,
        ("medusajs/medusa#3206", "medusajs/medusa#1887", "medusajs/medusa#13962"),
        "carts at the same time get key conflicts, also when they try again",
    ),
    Case(70, ("medusajs/medusa#13931",), "a fixed transaction id makes two instances collide"),
    Case(71, ("saleor/apps#339",), "an event has no stable id, so a receiver cannot tell that it comes twice"),
    Case(72, ("mollie/spree-mollie-gateway#25",), "an order is finished twice, and stock is cut twice"),
    # Speed
    Case(73, ("magento/inventory#2306",), "2,000 updates take a minute, and twice as many take more than two"),
    Case(74, ("magento/inventory#1950",), "what is available of one SKU is found by looking at 1.5 million rows"),
    Case(75, ("magento/inventory#2059", "magento/inventory#2002"), "an import of 39,000 rows does its work twice"),
    Case(76, ("magento/inventory#3351",), "a batch in which all are out of stock ends the walk through the others"),
    Case(77, ("odoo/odoo#22476", "odoo/odoo#56769"), "counts of 10,000 lines time out"),
    Case(78, ("frappe/erpnext#51562",), "postings at the same time leave a wrong running balance"),
    Case(79, ("openlinker-project/openlinker#2704",), "routing names one destination, it is disabled, and all fails"),
)
