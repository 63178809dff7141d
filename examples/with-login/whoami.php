<?php
// The hub asks here who the user of a page is; the page's cookies come along.
session_start(['read_and_close' => true]);
if (!isset($_SESSION['user'])) {
    http_response_code(401);
    exit('Nobody is logged in.');
}
header('Content-Type: application/json');
echo json_encode($_SESSION['user']);
