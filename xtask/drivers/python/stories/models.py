"""The stage's tables as Django sees them."""

from django.db import models


class Customer(models.Model):
    name = models.TextField()
    ssn = models.TextField(null=True)
    email = models.TextField(null=True)
    birth_date = models.DateField(null=True)
    city = models.TextField(null=True)
    tier = models.IntegerField(null=True)

    class Meta:
        db_table = "customers"


class Payment(models.Model):
    customer = models.ForeignKey(Customer, models.DO_NOTHING, related_name="payments")
    card_number = models.TextField(null=True)
    cents = models.IntegerField()

    class Meta:
        db_table = "payments"


class Item(models.Model):
    name = models.TextField(unique=True)
    qty = models.IntegerField(default=0)
    note = models.TextField(null=True)

    class Meta:
        db_table = "drv_items"


class Patient(models.Model):
    ssn = models.TextField(null=True)
    born = models.DateField(null=True)
    seen = models.DateTimeField(null=True)
    visits = models.IntegerField(null=True)
    account = models.BigIntegerField(null=True)
    balance = models.DecimalField(null=True, max_digits=12, decimal_places=2)
    score = models.FloatField(null=True)
    insured = models.BooleanField(null=True)
    token = models.UUIDField(null=True)
    chart = models.JSONField(null=True)
    scan = models.BinaryField(null=True)

    class Meta:
        db_table = "patients"
