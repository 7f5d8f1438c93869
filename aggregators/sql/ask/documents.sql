-- Which of the operator's documents the newest publication went by.
SELECT DISTINCT kind FROM operator_documents
