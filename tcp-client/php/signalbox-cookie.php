<?php

declare(strict_types=1);

namespace Signalbox;

/**
 * The value of a cookie that tells a signalbox hub who the user of a page is. This file is all there is: PHP 7.4 or newer, no
 * extension, no Composer. The hub has the same secret, and verifies it.
 *
 *     require 'signalbox-cookie.php';
 *
 *     $user = ['id' => 'j.doe', 'name' => 'Jane Doe', 'roles' => ['clerk']];
 *     setcookie('signalbox', Signalbox\signCookie($user, $secret, 8 * 3600), [
 *         'expires' => time() + 8 * 3600,
 *         'path' => '/',
 *         'secure' => true,
 *         'httponly' => true,
 *         'samesite' => 'Strict',
 *     ]);
 *
 * Whoever has the value is that user until it expires: keep it out of logs and pages.
 *
 * @param array<string, mixed> $user all of it UTF-8
 *  - `id`: 1 to 256 characters; always the same for the same user
 *  - `name`: for people; default: the id
 *  - `roles`: a list of names of roles, 1 to 256 characters each, without a comma; default: none
 * @param string $secret at least 32 bytes; what the hub has as `secret`
 * @param int $maxAge seconds for which it counts, at least 1
 * @throws \InvalidArgumentException where one of them is not right; the secret is never shown
 */
function signCookie(array $user, string $secret, int $maxAge): string
{
    $wrong = static function (string $sentence): \InvalidArgumentException {
        return new \InvalidArgumentException($sentence);
    };
    // Characters as the hub counts them, in UTF-16: those above U+FFFF are two.
    $isName = static function ($text): bool {
        if (!is_string($text) || preg_match('//u', $text) !== 1) {
            return false;
        }
        $length = preg_match_all('/./us', $text) + preg_match_all('/[\x{10000}-\x{10FFFF}]/u', $text);
        return $length >= 1 && $length <= 256;
    };
    $base64url = static function (string $bytes): string {
        return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
    };

    $unknown = array_diff(array_keys($user), ['id', 'name', 'roles']);
    if ($unknown !== []) {
        throw $wrong('Expected a user of id, name and roles, got ' . implode(', ', $unknown) . '.');
    }
    if (strlen($secret) < 32) {
        throw $wrong('Expected the secret to be at least 32 bytes, got ' . strlen($secret) . '.');
    }
    if ($maxAge < 1) {
        throw $wrong("Expected maxAge to be at least 1 (seconds), got $maxAge.");
    }
    $name = $user['name'] ?? '';
    $roles = $user['roles'] ?? [];
    if (!$isName($user['id'] ?? null)) {
        throw $wrong('Expected id to be a string of 1 to 256 characters of UTF-8, got ' . gettype($user['id'] ?? null) . '.');
    }
    if (!is_string($name) || preg_match('//u', $name) !== 1) {
        throw $wrong('Expected name to be a string of UTF-8, got ' . gettype($name) . '.');
    }
    if (!is_array($roles)) {
        throw $wrong('Expected roles to be a list of strings, got ' . gettype($roles) . '.');
    }
    foreach ($roles as $role) {
        if (!$isName($role) || strpos($role, ',') !== false) {
            throw $wrong('Expected each role to be a string of 1 to 256 characters of UTF-8 without a comma, got another.');
        }
    }

    $texts = array_map($base64url, [$user['id'], $name, implode(',', $roles)]);
    $signed = implode('.', array_merge(['v1', (string) (time() + $maxAge)], $texts));
    $value = $signed . '.' . $base64url(hash_hmac('sha256', "signalbox cookie\n$signed", $secret, true));
    // Browsers drop a longer cookie, and say nothing.
    if (strlen($value) > 4000) {
        throw $wrong('Expected the cookie to have at most 4000 characters, which is what browsers keep, got ' . strlen($value) . '.');
    }
    return $value;
}
