-- An account's uses are counted under its address by the version before, too: nothing is to be undone.
SELECT 1;
