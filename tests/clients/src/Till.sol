// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// What an account lends its code from (EIP-7702): pays many at once and says so.
contract Till {
    event Paid(address indexed payer, address indexed payee, uint256 amount);

    function pay(address payable[] calldata payees, uint256 amount) external payable {
        for (uint256 i = 0; i < payees.length; i++) {
            (bool done,) = payees[i].call{value: amount}("");
            require(done, "payee refused");
            emit Paid(address(this), payees[i], amount);
        }
    }
}
