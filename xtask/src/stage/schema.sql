CREATE TABLE customers(
    id int PRIMARY KEY, name text NOT NULL, ssn text UNIQUE, email text, phone text, birth_date date,
    city text, tier int CHECK (tier < 100));
INSERT INTO customers VALUES
    (1, 'Alva Lindqvist', '123-45-6789', 'alva@corp.example', '+1 202 555 0143', '1984-02-29', 'Umea', 1),
    (2, 'Bram Okafor', '219-09-9999', 'bram@corp.example', '+1 202 555 0178', '1991-07-14', 'Lagos', 2),
    (3, 'Chiyo Tanaka', '457-55-5462', 'chiyo@corp.example', '+1 202 555 0122', '1979-11-03', 'Sendai', 1);
CREATE TABLE payments(id int PRIMARY KEY, customer_id int REFERENCES customers, card_number text, iban text, cents int);
INSERT INTO payments VALUES
    (1, 1, '4111111111111111', 'DE89370400440532013000', 1250),
    (2, 2, '5500000000000004', 'GB29NWBK60161331926819', 990);
CREATE VIEW contacts AS SELECT id, name, ssn AS tax_ref FROM customers;
CREATE TABLE old_reports(id int, body text);
ALTER TABLE customers OWNER TO app;
ALTER TABLE payments OWNER TO app;
ALTER VIEW contacts OWNER TO app;
ALTER TABLE old_reports OWNER TO app;
-- Statistics hold values of the table: one more way out.
ANALYZE customers;
