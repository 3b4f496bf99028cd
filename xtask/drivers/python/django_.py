"""Django: migrations in a database of their own, introspection, ORM."""

import os

import django
from django.conf import settings

from story import MASKED, PLAIN, masked, run, tell


def database(name):
    options = {"sslmode": os.environ.get("PGSSLMODE", "prefer")}
    if "PGSSLROOTCERT" in os.environ:
        options["sslrootcert"] = os.environ["PGSSLROOTCERT"]
    return {"ENGINE": "django.db.backends.postgresql", "NAME": name, "USER": os.environ["PGUSER"],
            "HOST": os.environ["PGHOST"], "PORT": os.environ["PGPORT"], "PASSWORD": os.environ.get("PGPASSWORD", ""),
            "OPTIONS": options}


settings.configure(
    DATABASES={"default": database(os.environ["PGDATABASE"]), "plain": database(PLAIN)},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "stories"], USE_TZ=True, TIME_ZONE="UTC",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField", SECRET_KEY="none")
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import IntegrityError, connection, connections, transaction  # noqa: E402
from django.db.models import Count, F, OuterRef, Prefetch, Q, Subquery, Sum, Window  # noqa: E402
from django.db.models.functions import Lower, RowNumber  # noqa: E402
from stories.models import Customer, Item, Patient, Payment  # noqa: E402


def connect():
    connection.ensure_connection()
    tell("connect", connection.pg_version // 10000, connection.is_usable())


def introspect():
    with connection.cursor() as cursor:
        seen = connection.introspection
        tables = sorted(table.name for table in seen.get_table_list(cursor))
        tell("introspect", tables)
        for table in ("customers", "payments", "drv_items", "drv_types"):
            tell("introspect table", table, [tuple(column) for column in seen.get_table_description(cursor, table)])
            tell("introspect relations", table, seen.get_relations(cursor, table), seen.get_sequences(cursor, table))
            tell("introspect constraints", table, sorted(seen.get_constraints(cursor, table).items()))
    call_command("inspectdb", "payments", stdout=open(os.devnull, "w"))


def migrate():
    call_command("migrate", database="plain", verbosity=0)
    from django.contrib.auth.models import Group, User
    user = User.objects.using("plain").create(username="someone")
    user.groups.add(Group.objects.using("plain").create(name="readers"))
    tell("migrate", User.objects.using("plain").filter(groups__name="readers").count())
    call_command("migrate", "auth", "zero", database="plain", verbosity=0)
    call_command("migrate", "contenttypes", "zero", database="plain", verbosity=0)
    tell("migrate back", connections["plain"].introspection.table_names())


def orm():
    Item.objects.bulk_create([Item(name=f"dj {n}", qty=n) for n in range(100)])
    tell("orm", Item.objects.filter(name__startswith="dj").aggregate(Sum("qty"), Count("id")))
    Item.objects.filter(name="dj 3").update(qty=F("qty") * 2)
    tell("orm update", Item.objects.get(name="dj 3").qty, Item.objects.get_or_create(name="dj 3")[1],
         Item.objects.update_or_create(name="dj 4", defaults={"qty": 9})[0].qty)
    tell("orm delete", Item.objects.filter(Q(name="dj 5") | Q(name="dj 6")).delete()[0])
    try:
        with transaction.atomic():
            Item.objects.create(name="dj atomic")
            with transaction.atomic():
                Item.objects.create(name="dj 7")
    except IntegrityError as error:
        tell("orm error", error.__cause__.sqlstate)
    tell("orm rolled back", Item.objects.filter(name="dj atomic").exists())
    with transaction.atomic():
        tell("orm locked", Item.objects.select_for_update().get(name="dj 8").qty)
    Item.objects.bulk_create([Item(name="dj 9", qty=90)], update_conflicts=True, unique_fields=["name"], update_fields=["qty"])
    tell("orm upsert", Item.objects.get(name="dj 9").qty)
    tell("orm iterator", sum(item.qty for item in Item.objects.filter(name__startswith="dj").iterator(chunk_size=10)))


def queries():
    tell("count", Customer.objects.count(), Customer.objects.filter(tier=1).exists())
    tell("annotate", list(Customer.objects.annotate(n=Count("payments")).order_by("id").values_list("name", "n")))
    newest = Payment.objects.filter(customer=OuterRef("pk")).order_by("-id").values("cents")[:1]
    tell("subquery", list(Customer.objects.annotate(newest=Subquery(newest)).order_by("id").values_list("id", "newest")))
    tell("window", list(Customer.objects.annotate(n=Window(RowNumber(), order_by=F("id").asc())).order_by("id").values_list("id", "n")))
    tell("page", list(Customer.objects.order_by("-id").values_list("city", flat=True)[1:3]))
    tell("lower", list(Customer.objects.annotate(low=Lower("city")).filter(low__contains="a").order_by("id").values_list("low", flat=True)))
    tell("explain", "Scan" in Customer.objects.filter(id=1).explain())


def hidden():
    loaded = Customer.objects.prefetch_related(Prefetch("payments", Payment.objects.order_by("id"))).order_by("id")
    tell("masked orm", [(one.ssn, one.email, [payment.card_number for payment in one.payments.all()]) for one in loaded])
    joined = Payment.objects.select_related("customer").order_by("id")
    tell("masked joined", [(one.card_number, one.customer.ssn) for one in joined])
    one = Patient.objects.get(pk=1)
    masked({name: getattr(one, name) for name in MASKED})


run([("connect", connect), ("introspect", introspect), ("migrate", migrate), ("orm", orm), ("queries", queries), ("masked", hidden)])
